// Package netns opens network namespaces that others made and does things inside
// of them. A pod's belongs to CRI's CNI and is never made or deleted here.
package netns

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
	"blazar/internal/thread"
)

// Open opens the network namespace at path (a bind mount below /run/netns, or
// /proc/PID/ns/net). errdefs.ErrNotFound if there is nothing,
// errdefs.ErrInvalidArgument if it is anything else than a network namespace;
// nothing else is ever opened for reading, so a FIFO or device cannot block or
// react.
func Open(path string) (*os.File, error) {
	probe, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		if err == unix.ENOENT || err == unix.ENOTDIR {
			return nil, fmt.Errorf("network namespace %s: %w", path, errdefs.ErrNotFound)
		}
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer func() { _ = unix.Close(probe) }() // only a path
	var fs unix.Statfs_t
	if err := unix.Fstatfs(probe, &fs); err != nil {
		return nil, fmt.Errorf("network namespace %s: statfs: %w", path, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return nil, fmt.Errorf("%s is not a namespace: %w", path, errdefs.ErrInvalidArgument)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", probe), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := Check(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// Check says errdefs.ErrInvalidArgument unless the file is a network namespace.
func Check(ns *os.File) error {
	kind := -1
	err := openfile.Control(ns, func(fd int) (err error) {
		kind, err = unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE) // ioctl_nsfs(2)
		return err
	})
	if err != nil || kind != unix.CLONE_NEWNET {
		return fmt.Errorf("%s is not a network namespace: %w", ns.Name(), errdefs.ErrInvalidArgument)
	}
	return nil
}

// Do runs fn inside the namespace, on a thread that is destroyed afterwards. fn
// must do its work itself: goroutines that it starts are outside.
func Do(ns *os.File, fn func() error) error {
	var err error
	thread.Throwaway(func() {
		err = openfile.Control(ns, func(fd int) error { return unix.Setns(fd, unix.CLONE_NEWNET) })
		if err != nil {
			err = fmt.Errorf("enter network namespace %s: %w", ns.Name(), err)
			return
		}
		err = fn()
	})
	return err
}
