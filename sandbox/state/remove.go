package state

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// removeTree removes root/name and all in it, but never crosses into a mount: what
// a kind has forgotten to unmount may be somebody's data.
func removeTree(root, name string) error {
	dir, err := os.Open(root)
	if err != nil {
		return err
	}
	return errors.Join(removeAt(dir, name), dir.Close())
}

func removeAt(parent *os.File, name string) error {
	err := unix.Unlinkat(int(parent.Fd()), name, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EISDIR):
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is still a mount point: %w", name, errdefs.ErrFailedPrecondition)
	default:
		return fmt.Errorf("remove %s: %w", name, err)
	}
	fd, err := unix.Openat2(int(parent.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_DIRECTORY | unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	})
	if errors.Is(err, unix.EXDEV) {
		return fmt.Errorf("%s is still a mount point: %w", name, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	names, err := dir.Readdirnames(-1)
	for _, n := range names {
		err = errors.Join(err, removeAt(dir, n))
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	if err := unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}
