package doctor

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// RealKernel tries the running kernel. layers is a directory on the file system
// that holds the layers of images. Nothing that it makes is attached anywhere or
// outlives the call.
func RealKernel(layers string) Kernel {
	tries := map[Feature]func() error{
		OpenAt2:    tryOpenAt2,
		PidFD:      tryPidFD,
		CloseRange: func() error { return unix.CloseRange(^uint(0), ^uint(0), 0) },
		MountAPI:   tryMountAPI,
		UserNS: func() error {
			f, err := userNS()
			return errors.Join(err, closeFile(f))
		},
		IdmapMount:  func() error { return withIdmapped(layers, func(int) error { return nil }) },
		IdmapLayers: func() error { return withIdmapped(layers, tryOverlay) },
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

// tryMountAPI makes a detached tmpfs and makes it read-only with mount_setattr.
func tryMountAPI() error {
	fd, err := detachedTmpfs()
	if err != nil {
		return err
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	return closed(fd, "mount_setattr", err)
}

// userNS makes a user namespace like that of a pod and returns it. The process
// it is made by is stopped before it runs anything and has ended on return.
func userNS() (*os.File, error) {
	const mapping = "0:100000:65536"
	f, err := mount.GetUsernsFD(mapping, mapping)
	if err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	return f, nil
}

// withIdmapped calls use with a detached idmapped copy of dir.
func withIdmapped(dir string, use func(tree int) error) (err error) {
	ns, err := userNS()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFile(ns)) }()
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", dir, err)
	}
	defer func() { _ = unix.Close(tree) }() // detached: closing is all there is to it
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
	if err != nil {
		return fmt.Errorf("idmap %s: %w", dir, err)
	}
	return use(tree)
}

// tryOverlay makes an overlay over tree and an empty layer, both by descriptor.
func tryOverlay(tree int) error {
	empty, err := detachedTmpfs()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(empty) }() // detached
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen overlay: %w", err)
	}
	for _, layer := range []int{tree, empty} {
		if err := unix.FsconfigSetFd(fs, "lowerdir+", layer); err != nil {
			return closed(fs, "overlay over an idmapped layer by descriptor", err)
		}
	}
	return closed(fs, "overlay over an idmapped layer", unix.FsconfigCreate(fs))
}

func detachedTmpfs() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen tmpfs: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, closed(fs, "fsconfig tmpfs", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	_ = unix.Close(fs) // the mount keeps the file system
	if err != nil {
		return -1, fmt.Errorf("fsmount tmpfs: %w", err)
	}
	return fd, nil
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

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}
