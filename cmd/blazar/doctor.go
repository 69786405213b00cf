package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"blazar/cmd/blazar/internal/doctor"
	"blazar/cmd/internal/daemon"
	"blazar/internal/config"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "check whether this host can run pods, and say what to do",
		Description: "Changes nothing. The exit code is 1 when a check failed; warnings are no failure.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.StringFlag{Name: "config", Usage: "Blazar's configuration (default: " + config.DefaultFile + ")"},
			&cli.StringFlag{Name: "containerd", Usage: "containerd's socket (default: as configured)"},
			&cli.StringFlag{Name: "containerd-config", Usage: "containerd's main configuration", Value: "/etc/containerd/config.toml"},
			&cli.StringFlag{Name: "state", Usage: "directory of the sockets of `blazar serve` (default: as configured)"},
			&cli.StringFlag{Name: "wasm-task", Usage: "the wasm-task binary (default: where `blazar serve` looks)"},
			&cli.StringFlag{Name: "layers", Usage: "a directory on the file system that holds the layers of images (default: /var/lib/containerd, or its parent)"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			report := doctor.Run(ctx, examine(ctx, c), doctor.Checks)
			write := report.Text
			if c.Bool("json") {
				write = report.JSON
			}
			if err := write(c.Root().Writer); err != nil {
				return err
			}
			if report.Failed() {
				return cli.Exit("", 1)
			}
			return nil
		},
	}
}

// askTimeout bounds what containerd is asked.
const askTimeout = 10 * time.Second

// examine looks at this host.
func examine(ctx context.Context, c *cli.Command) *doctor.Host {
	conf, err := config.Load(c.String("config"))
	if err == nil {
		err = conf.Check()
	}
	h := &doctor.Host{
		Euid:              os.Geteuid(),
		ConfigErr:         err,
		Strict:            conf.Wasm.Confinement == config.Strict,
		Kernel:            doctor.RealKernel(layers(c.String("layers"))),
		Engines:           describedEngines(conf),
		WasmTask:          cmp.Or(c.String("wasm-task"), conf.Wasm.Task, daemon.FindProgram("wasm-task")),
		Runc:              conf.Runc.Binary,
		Reaper:            cmp.Or(conf.Runc.Reaper, daemon.FindProgram("pod-reaper")),
		Sockets:           map[string]string{},
		ContainerdAddress: cmp.Or(c.String("containerd"), conf.Containerd.Address),
	}
	for _, kind := range conf.Kinds {
		h.Sockets[kind] = filepath.Join(cmp.Or(c.String("state"), conf.State), kind+".sock")
	}
	if h.Sockets["runc"] != "" {
		h.Sockets["taskd"] = filepath.Join(cmp.Or(c.String("state"), conf.State), "taskd.sock")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	h.Containerd, h.ContainerdErr = doctor.Ask(ctx, h.ContainerdAddress)
	h.File, h.FileErr = doctor.ReadConfig("", c.String("containerd-config"))
	return h
}

// layers is a directory that exists, at or above the one given.
func layers(dir string) string {
	if dir == "" {
		dir = "/var/lib/containerd"
	}
	for {
		if _, err := os.Stat(dir); err == nil || dir == "/" {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
