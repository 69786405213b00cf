package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/coreos/go-systemd/v22/daemon"

	"blazar/internal/config"
	"blazar/internal/fdstore"
	"blazar/internal/forward"
	"blazar/internal/version"
	"blazar/runcsandboxer/runctask"
)

// Taskd serves the Task API of Linux containers until ctx ends.
func Taskd(ctx context.Context, cfg config.Config) error {
	if err := log.SetLevel(cfg.LogLevel); err != nil {
		return fmt.Errorf("log_level: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("blazar taskd needs root: it makes mounts, cgroups and namespaces: %w", errdefs.ErrPermissionDenied)
	}
	kept := fdstore.Open()
	server, err := runctask.NewServer(ctx, runctask.Config{
		State: cfg.State, Binary: cfg.Runc.Binary, Root: cfg.Runc.Root, Keeper: kept,
	}, forward.New(cfg.Containerd.Address))
	if err != nil {
		return err
	}
	if err := kept.Rest(); err != nil {
		log.G(ctx).WithError(err).Warn("the service manager keeps descriptors that are of no use")
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
