// Command blazar runs pods in the sandbox that suits them. This file is the list
// of its commands and the way errors leave the process; every command lives in
// the file of its name.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"blazar/internal/version"
)

func main() {
	err := app(commands()).Run(context.Background(), os.Args)
	if err == nil {
		return
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "blazar: "+text)
	}
	os.Exit(exitCode(err))
}

// commands are the subcommands, in the order in which the help shows them.
func commands() []*cli.Command {
	return []*cli.Command{
		runCommand(),
		imageCommand(),
		serveCommand(),
		taskdCommand(),
		doctorCommand(),
		installCommand(),
		uninstallCommand(),
		compileCommand(),
		describeEngineCommand(),
	}
}

// app is the command line around the given subcommands. It returns errors and
// leaves the process to main.
func app(commands []*cli.Command) *cli.Command {
	root := &cli.Command{
		Name:            "blazar",
		Usage:           "run pods in the sandbox that suits them, on stock containerd",
		Version:         version.Get(),
		Commands:        commands,
		HideHelpCommand: true,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {},
		Action: func(_ context.Context, c *cli.Command) error {
			if name := c.Args().First(); name != "" {
				return cli.Exit(fmt.Sprintf("unknown command %q; see `blazar --help`", name), 2)
			}
			return cli.ShowAppHelp(c)
		},
	}
	plainUsageErrors(root)
	return root
}

// plainUsageErrors makes a wrong flag one line and exit code 2, for c and
// everything below it, instead of the whole help text.
func plainUsageErrors(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return cli.Exit(fmt.Sprintf("%v; see `%s --help`", err, c.FullName()), 2)
	}
	for _, sub := range c.Commands {
		plainUsageErrors(sub)
	}
}

// exitCode is the process's exit code for err: the one it carries (cli.Exit), or 1.
func exitCode(err error) int {
	var coder cli.ExitCoder
	if errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return 1
}
