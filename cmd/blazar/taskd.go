package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"blazar/cmd/internal/daemon"
)

func taskdCommand() *cli.Command {
	return &cli.Command{
		Name:  "taskd",
		Usage: "run the Linux containers of this node",
		Description: "Serves the Task API of every Linux container on the node until SIGTERM or SIGINT.\n" +
			"Containers run on, but containerd gives up those whose task server goes away while\n" +
			"it runs itself: stop containerd first to restart taskd without losing any.",
		Flags: daemonFlags(daemon.TaskdFlags),
		Action: func(ctx context.Context, c *cli.Command) error {
			return runDaemon(ctx, c, daemon.TaskdFlags, daemon.Taskd)
		},
	}
}
