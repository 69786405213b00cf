package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v3"

	"blazar/internal/config"
	"blazar/internal/forward"
	"blazar/internal/version"
	"blazar/runcsandboxer/runctask"
)

func taskdCommand() *cli.Command {
	return &cli.Command{
		Name:  "taskd",
		Usage: "run the Linux containers of this node",
		Description: "Serves the Task API of every Linux container on the node until SIGTERM or SIGINT.\n" +
			"Containers run on, but containerd gives up those whose task server goes away while\n" +
			"it runs itself: stop containerd first to restart taskd without losing any.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "configuration file (default " + config.DefaultFile + ", which need not exist)"},
			&cli.StringFlag{Name: "state", Usage: "directory of records and sockets, on a volatile file system"},
			&cli.StringFlag{Name: "root", Usage: "directory of what outlives a restart of the machine"},
			&cli.StringFlag{Name: "containerd", Usage: "containerd's gRPC socket"},
			&cli.StringFlag{Name: "containerd-state", Usage: "containerd's state directory"},
			&cli.StringFlag{Name: "runc", Usage: "OCI runtime, runc or crun: a path or a name"},
			&cli.StringFlag{Name: "log-level", Usage: "trace, debug, info, warn or error"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, err := config.Load(c.String("config"))
			if err != nil {
				return err
			}
			for name, field := range map[string]*string{
				"state": &cfg.State, "root": &cfg.Root, "containerd": &cfg.Containerd.Address,
				"containerd-state": &cfg.Containerd.State, "runc": &cfg.Runc.Binary, "log-level": &cfg.LogLevel,
			} {
				if c.IsSet(name) {
					*field = c.String(name)
				}
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return taskd(ctx, cfg)
		},
	}
}

// taskd serves until ctx ends.
func taskd(ctx context.Context, cfg config.Config) error {
	if err := log.SetLevel(cfg.LogLevel); err != nil {
		return fmt.Errorf("log_level: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("blazar taskd needs root: it makes mounts, cgroups and namespaces: %w", errdefs.ErrPermissionDenied)
	}
	server, err := runctask.NewServer(ctx, runctask.Config{
		State: cfg.State, Binary: cfg.Runc.Binary, Root: cfg.Runc.Root,
	}, forward.New(cfg.Containerd.Address))
	if err != nil {
		return err
	}
	if err := useScratch(filepath.Join(cfg.State, "taskd", "tmp")); err != nil {
		return errors.Join(err, server.Close())
	}
	return server.Serve(ctx, func() {
		log.G(ctx).WithField("socket", cfg.TaskSocket()).WithField("version", version.Get()).Info("serving Linux containers")
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			log.G(ctx).WithError(err).Warn("cannot tell systemd that the task server is ready")
		}
	})
}

// useScratch empties a directory and has temporary files made there: go-runc writes the
// specifications of processes, secrets among them, to such files.
func useScratch(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Setenv("XDG_RUNTIME_DIR", dir)
}
