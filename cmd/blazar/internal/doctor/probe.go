package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"blazar/internal/idrange"
	"blazar/internal/mnt"
)

// RealKernel tries the running kernel with the very calls that pods are made with.
// layers is a directory on the file system that holds the layers of images; an
// empty directory is made in it for the moment of a try. Nothing outlives the call.
func RealKernel(layers string) Kernel {
	tries := map[Feature]func() error{
		OpenAt2:     tryOpenAt2,
		PidFD:       tryPidFD,
		CloseRange:  func() error { return unix.CloseRange(^uint(0), ^uint(0), 0) },
		MountAPI:    tryMountAPI,
		UserNS:      func() error { return withIDMap(func(*mnt.IDMap) error { return nil }) },
		IdmapMount:  func() error { return withDirs(layers, tryBind) },
		IdmapLayers: func() error { return withDirs(layers, tryOverlay) },
	}
	return Kernel{
		KVMVersion: kvmVersion,
		Try: func(f Feature) error {
			try, ok := tries[f]
			if !ok {
				return fmt.Errorf("nobody knows how to try %s", f)
			}
			return try()
		},
	}
}

func tryOpenAt2() error {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	return closed(fd, "openat2", err)
}

func tryPidFD() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	return closed(fd, "pidfd_open", err)
}

// closed closes fd, if it is one, and names what err came from.
func closed(fd int, what string, err error) error {
	if fd >= 0 {
		_ = unix.Close(fd) // nothing was written to it
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// tryMountAPI makes a tmpfs that is attached nowhere, and then read-only.
func tryMountAPI() error {
	d, err := mnt.Tmpfs(mnt.TmpfsOptions{Size: 1 << 16, Mode: 0o755}, mnt.Attr{NoExec: true})
	if err != nil {
		return err
	}
	return errors.Join(d.SetReadOnly(false), d.Close())
}

// withIDMap calls use with the mapping that a pod of root's would have.
func withIDMap(use func(*mnt.IDMap) error) error {
	m, err := mnt.NewIDMap(idrange.DefaultFirst, 0, 0)
	if err != nil {
		return err
	}
	return errors.Join(use(m), m.Close())
}

// withDirs calls use with a directory that holds three empty ones.
func withDirs(parent string, use func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(parent, ".blazar-doctor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, name := range []string{"one", "two", "scratch"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	return use(dir)
}

func tryBind(dir string) error {
	return withIDMap(func(m *mnt.IDMap) error {
		d, err := mnt.Bind(filepath.Join(dir, "one"), false, m, mnt.Attr{ReadOnly: true})
		if err != nil {
			return err
		}
		return d.Close()
	})
}

func tryOverlay(dir string) error {
	return withIDMap(func(m *mnt.IDMap) error {
		lower := []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}
		d, err := mnt.Overlay(mnt.Layers{Lower: lower}, m, mnt.Attr{ReadOnly: true}, filepath.Join(dir, "scratch"))
		if err != nil {
			return err
		}
		return d.Close()
	})
}
