package ociwasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Directories of a cache.
const (
	artifactsDir = "artifacts" // name/ as the engine wrote it, complete
	locksDir     = "locks"     // name; shared: in use, exclusive: being made or removed; mtime: last use
	tmpDir       = "tmp"       // name.random/ being made or removed
)

// openOwned opens a directory that nobody else can have put anything into.
func openOwned(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("it must be a directory and no link: %w", err)
	}
	checked := os.NewFile(uintptr(fd), dir)
	defer func() { _ = checked.Close() }() // only looked at
	if err := checkOwned(checked); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sameDir(checked, root), makeDirs(root)); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func makeDirs(root *os.Root) error {
	for _, d := range []string{artifactsDir, locksDir, tmpDir} {
		if err := root.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		f, err := root.OpenFile(d, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		if err := closed(f, checkOwned(f)); err != nil {
			return err
		}
	}
	return nil
}

// checkOwned is on a descriptor, so that what was checked is what is used.
func checkOwned(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case st.Uid != uint32(os.Geteuid()):
		return fmt.Errorf("%s belongs to uid %d, compiled code is only taken from a directory of uid %d; choose another directory: %w",
			f.Name(), st.Uid, os.Geteuid(), errdefs.ErrPermissionDenied)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s has mode %04o, others must have no access; run chmod 0700 on it after checking its contents: %w",
			f.Name(), st.Mode&0o7777, errdefs.ErrPermissionDenied)
	}
	return nil
}

func sameDir(f *os.File, root *os.Root) error {
	a, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := root.Stat(".")
	if err != nil {
		return err
	}
	if !os.SameFile(a, b) {
		return fmt.Errorf("it was replaced while it was opened: %w", errdefs.ErrPermissionDenied)
	}
	return nil
}
