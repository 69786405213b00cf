package runctask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"

	"blazar/sandbox/task"
)

// rootfsName is the directory in a bundle on which the root file system is mounted, as
// containerd's specifications expect it.
const rootfsName = "rootfs"

// mountRootfs mounts what containerd's snapshotter says.
func (c *container) mountRootfs(ctx context.Context, mounts []task.Mount) error {
	if len(mounts) == 0 {
		return nil
	}
	target := filepath.Join(c.record.Bundle, rootfsName)
	if err := os.Mkdir(target, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	all := make([]mount.Mount, len(mounts))
	for i, m := range mounts {
		all[i] = mount.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options}
	}
	return c.bounded(ctx, "mount the root file system", func() error { return mount.All(all, target) })
}

// unmountRootfs undoes mountRootfs. Nothing there is no error.
func (c *container) unmountRootfs(ctx context.Context) error {
	target := filepath.Join(c.record.Bundle, rootfsName)
	return c.bounded(ctx, "unmount the root file system", func() error {
		for {
			err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
			if errors.Is(err, unix.EBUSY) {
				err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
			}
			switch {
			case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
				return nil // no mount, or none any more
			case err != nil:
				return &os.PathError{Op: "unmount", Path: target, Err: err}
			}
		}
	})
}

// bounded does what the kernel may hold up (a file system over the network) for as
// long as ctx lives. What does not come back goes on, and its effect is undone by
// whoever removes the bundle.
func (c *container) bounded(ctx context.Context, what string, do func() error) error {
	done := make(chan error, 1)
	end := c.rt.config.Orphans.Begin() // mount helpers are children
	go func() {
		defer end()
		done <- do()
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: it does not come back: %w", what, ctx.Err())
	}
}
