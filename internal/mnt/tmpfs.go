package mnt

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// TmpfsOptions shape a tmpfs; see tmpfs(5).
type TmpfsOptions struct {
	// Size in bytes, 0 for half of the memory; Inodes at most, 0 for as many as
	// there are pages in half of the memory.
	Size, Inodes uint64
	// Mode of its root directory; 0 means 0755.
	Mode uint32
	// UID and GID own the root directory.
	UID, GID uint32
}

// Tmpfs makes an empty file system in memory.
func Tmpfs(o TmpfsOptions, a Attr) (*Detached, error) {
	mode := o.Mode
	if mode == 0 {
		mode = 0o755
	}
	options := []option{
		{"source", "tmpfs"}, // what people see where a device would be
		{"mode", strconv.FormatUint(uint64(mode), 8)},
		{"uid", strconv.FormatUint(uint64(o.UID), 10)}, {"gid", strconv.FormatUint(uint64(o.GID), 10)},
	}
	if o.Size != 0 {
		options = append(options, option{"size", strconv.FormatUint(o.Size, 10)})
	}
	if o.Inodes != 0 {
		options = append(options, option{"nr_inodes", strconv.FormatUint(o.Inodes, 10)})
	}
	fs, err := openFS("tmpfs")
	if err != nil {
		return nil, err
	}
	defer fs.close()
	for _, o := range options {
		if err := fs.set(o); err != nil {
			return nil, err
		}
	}
	return fs.mount(a)
}

// option is a mount option; one without value is a flag.
type option struct{ key, value string }

// filesystem is a file system that is being configured, fsopen(2).
type filesystem struct {
	kind string
	fd   int
}

func openFS(kind string) (*filesystem, error) {
	fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, os.NewSyscallError("fsopen", err))
	}
	return &filesystem{kind, fd}, nil
}

func (f *filesystem) close() { _ = unix.Close(f.fd) } // a mount made of it stays

func (f *filesystem) set(o option) error {
	var err error
	if o.value == "" {
		err = unix.FsconfigSetFlag(f.fd, o.key)
	} else {
		err = unix.FsconfigSetString(f.fd, o.key, o.value)
	}
	if err != nil {
		return f.fail(fmt.Sprintf("option %s=%s", o.key, o.value), err)
	}
	return nil
}

// mount creates the file system and mounts it detached.
func (f *filesystem) mount(a Attr) (*Detached, error) {
	if err := unix.FsconfigCreate(f.fd); err != nil {
		return nil, f.fail("create", err)
	}
	fd, err := unix.Fsmount(f.fd, unix.FSMOUNT_CLOEXEC, int(a.flags()))
	if err != nil {
		return nil, f.fail("mount", err)
	}
	d := &Detached{os.NewFile(uintptr(fd), f.kind)}
	if a.Propagation != Private { // which it is already
		if err := d.set(a, nil, false); err != nil {
			_ = d.Close() // undone
			return nil, f.fail("propagation", err)
		}
	}
	return d, nil
}

// fail adds what the kernel says about an error, which it leaves to be read from
// the configuration's descriptor, a message at a time.
func (f *filesystem) fail(what string, err error) error {
	b := make([]byte, 512)
	if n, rerr := unix.Read(f.fd, b); rerr == nil && n > 2 {
		return fmt.Errorf("%s: %s: %w (kernel: %s)", f.kind, what, err, b[2:n]) // "e " goes before
	}
	return fmt.Errorf("%s: %s: %w", f.kind, what, err)
}
