package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"blazar/cmd/internal/daemon"
	"blazar/engines"
	"blazar/internal/config"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "serve the Sandbox API to containerd",
		Description: "Runs until SIGTERM or SIGINT and leaves the pods running: started again it finds\n" +
			"them. Every flag overrides the key of the configuration file it is named after.",
		Flags: daemonFlags(daemon.ServeFlags),
		Action: func(ctx context.Context, c *cli.Command) error {
			return runDaemon(ctx, c, daemon.ServeFlags, func(ctx context.Context, cfg config.Config) error {
				return daemon.Serve(ctx, cfg, daemon.Programs{Engines: func(cfg config.Config) (*engines.Registry, error) {
					return describedEngines(cfg), nil
				}})
			})
		},
	}
}

func daemonFlags(flags []daemon.Flag) []cli.Flag {
	var all []cli.Flag
	for _, f := range flags {
		if f.Repeated {
			all = append(all, &cli.StringSliceFlag{Name: f.Name, Usage: f.Usage})
		} else {
			all = append(all, &cli.StringFlag{Name: f.Name, Usage: f.Usage})
		}
	}
	return all
}

// runDaemon becomes the blazard that this program was built or installed with, which does
// the same in a third of the memory. Where there is none it does it itself.
func runDaemon(ctx context.Context, c *cli.Command, flags []daemon.Flag, run func(context.Context, config.Config) error) error {
	values := map[string][]string{}
	argv := []string{daemon.Name, c.Name}
	for _, f := range flags {
		if !c.IsSet(f.Name) {
			continue
		}
		values[f.Name] = []string{c.String(f.Name)}
		if f.Repeated {
			values[f.Name] = c.StringSlice(f.Name)
		}
		for _, v := range values[f.Name] {
			argv = append(argv, "--"+f.Name+"="+v)
		}
	}
	if path := daemon.Beside(daemon.Name); path != "" {
		if err := syscall.Exec(path, argv, os.Environ()); !errors.Is(err, os.ErrNotExist) {
			return &os.PathError{Op: "exec", Path: path, Err: err}
		}
	}
	cfg, err := daemon.Load(flags, values)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return run(ctx, cfg)
}
