package mnt

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
)

// Bind makes a further mount of what is at a trusted path, with recursive also of
// the mounts below it; the attributes and the mapping go for all of them.
// errdefs.ErrNotImplemented if there is a mapping and the file system cannot have
// one (overlay, proc, NFS).
func Bind(source string, recursive bool, m *IDMap, a Attr) (*Detached, error) {
	f, err := openPath(source, 0)
	if err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	d, err := BindFile(f, recursive, m, a)
	return d, errors.Join(err, f.Close())
}

// BindFile is Bind of a file or directory that is open, with O_PATH at least.
func BindFile(source *os.File, recursive bool, m *IDMap, a Attr) (*Detached, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	var fd int
	err := openfile.Control(source, func(s int) (err error) {
		fd, err = unix.OpenTree(s, "", flags)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", source.Name(), os.NewSyscallError("open_tree", err))
	}
	d := &Detached{os.NewFile(uintptr(fd), source.Name())}
	if err := d.set(a, m, recursive); err != nil {
		_ = d.Close() // undone
		return nil, fmt.Errorf("bind %s: %w", source.Name(), err)
	}
	return d, nil
}
