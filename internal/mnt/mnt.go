// Package mnt makes the mounts of pods with the file descriptor based mount calls
// of Linux 5.12 and later. A mount is built detached, with its final flags and
// owner mapping, and attached afterwards: flags changed later would not reach the
// copies that propagation made in a pod's mount namespace.
package mnt

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
)

// Attr are the properties that a mount is born with. False keeps what the source
// of a bind has.
type Attr struct {
	ReadOnly, NoSUID, NoDev, NoExec bool
	// Propagation from and to where the mount came from.
	Propagation Propagation
}

// Propagation says how later mounts travel (mount_namespaces(7)). A mount that is
// attached below a shared one becomes visible to the peers of that, whatever its
// own propagation.
type Propagation int

const (
	// Private mounts neither send nor receive.
	Private Propagation = iota
	// Slave mounts receive what is mounted later at their source.
	Slave
	// Shared mounts show everything to their peers: the root of a pod.
	Shared
)

// Detached is a mount that is attached nowhere yet. Attaching it does not use it
// up: its Root stays good until Close, which undoes a mount that was never
// attached and leaves one that was. Not safe for concurrent use.
type Detached struct {
	file *os.File
}

func (a Attr) flags() (set uint64) {
	for flag, on := range map[uint64]bool{
		unix.MOUNT_ATTR_RDONLY: a.ReadOnly, unix.MOUNT_ATTR_NOSUID: a.NoSUID,
		unix.MOUNT_ATTR_NODEV: a.NoDev, unix.MOUNT_ATTR_NOEXEC: a.NoExec,
	} {
		if on {
			set |= flag
		}
	}
	return set
}

func (a Attr) propagation() uint64 {
	switch a.Propagation {
	case Slave:
		return unix.MS_SLAVE
	case Shared:
		return unix.MS_SHARED
	}
	return unix.MS_PRIVATE
}

// set gives a detached mount, and with recursive those below it, its properties.
func (d *Detached) set(a Attr, m *IDMap, recursive bool) error {
	attr := unix.MountAttr{Attr_set: a.flags(), Propagation: a.propagation()}
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	set := func() error {
		return openfile.Control(d.file, func(fd int) error { return unix.MountSetattr(fd, "", flags, &attr) })
	}
	if m == nil {
		return os.NewSyscallError("mount_setattr", set())
	}
	attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
	err := openfile.Control(m.file, func(fd int) error {
		attr.Userns_fd = uint64(fd)
		return set()
	})
	if errors.Is(err, unix.EINVAL) { // mount_setattr(2): the file system is not able to
		return fmt.Errorf("its file system has no idmapped mounts: %w", errdefs.ErrNotImplemented)
	}
	return os.NewSyscallError("mount_setattr", err)
}

// SetReadOnly makes a mount read-only, and with recursive those below it. To be
// called before it is attached.
func (d *Detached) SetReadOnly(recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return os.NewSyscallError("mount_setattr", openfile.Control(d.file, func(fd int) error {
		return unix.MountSetattr(fd, "", flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	}))
}

// Attach puts the mount onto a file or directory, which OpenIn, MkdirIn and
// TouchIn give.
func (d *Detached) Attach(target *os.File) error {
	err := openfile.Control(d.file, func(from int) error {
		return openfile.Control(target, func(to int) error {
			return unix.MoveMount(from, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
		})
	})
	if err != nil {
		return fmt.Errorf("attach mount at %s: %w", target.Name(), os.NewSyscallError("move_mount", err))
	}
	return nil
}

// AttachAt puts the mount onto a trusted path, the last part of which is no
// symbolic link.
func (d *Detached) AttachAt(path string) error {
	target, err := openPath(path, unix.O_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("attach mount: %w", err)
	}
	return errors.Join(d.Attach(target), target.Close())
}

// Root is the mount's root directory or file, for OpenIn and the like, as it will
// be seen where the mount is attached. It belongs to the mount.
func (d *Detached) Root() *os.File { return d.file }

// Close lets go of the mount. Idempotent.
func (d *Detached) Close() error {
	if err := d.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// openPath opens a path as a location only: nothing is read, no device reacts.
func openPath(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
