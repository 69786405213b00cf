package mnt

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
	"blazar/internal/thread"
)

// OpenIn opens an untrusted path inside a directory as if that were "/": symbolic
// links, absolute ones and those with "..", lead nowhere else, also while somebody
// changes them (openat2(2), RESOLVE_IN_ROOT). flags are those of open(2) without
// O_CREAT. errdefs.ErrNotFound if there is nothing, or a link to nothing.
func OpenIn(root *os.File, name string, flags int) (*os.File, error) {
	if flags&unix.O_CREAT != 0 {
		return nil, fmt.Errorf("open %s: O_CREAT: %w", name, errdefs.ErrInvalidArgument)
	}
	fd, err := openat2(root, clean(name), flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return nil, pathError("open", root, name, err)
	}
	return os.NewFile(uintptr(fd), path.Join(root.Name(), name)), nil
}

// MkdirIn makes an untrusted path inside a directory a directory, and what is
// missing above it, and returns it opened with O_PATH. What it makes has the given
// mode and owner; what is there stays as it is.
// errdefs.ErrFailedPrecondition where something is in the way: a file, or a
// symbolic link to nothing.
func MkdirIn(root *os.File, name string, mode, uid, gid uint32) (*os.File, error) {
	f, err := OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil || !errdefs.IsNotFound(err) {
		return f, blocked(err)
	}
	dir, base := path.Split(clean(name))
	parent, err := MkdirIn(root, dir, mode, uid, gid)
	if err != nil {
		return nil, err
	}
	defer func() { _ = parent.Close() }() // only a path
	err = create(parent, uid, gid, func(dir int) error { return unix.Mkdirat(dir, base, mode) })
	if errors.Is(err, unix.EEXIST) { // somebody else was faster, or a link to nothing
		f, err := OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
		return f, blocked(err)
	}
	if err != nil {
		return nil, pathError("mkdir", root, name, err)
	}
	// If it was replaced meanwhile, then by another of the same file system.
	fd, err := openat2(parent, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return nil, pathError("open", root, name, err)
	}
	return owned(os.NewFile(uintptr(fd), path.Join(root.Name(), name)), uid, gid)
}

// TouchIn is MkdirIn for a file: an empty one is made if there is nothing, the
// target of a bind of a file. Whatever is there, FIFOs and devices too, is opened
// as a path only.
func TouchIn(root *os.File, name string, mode, uid, gid uint32) (*os.File, error) {
	f, err := OpenIn(root, name, unix.O_PATH)
	if err == nil || !errdefs.IsNotFound(err) {
		return f, blocked(err)
	}
	dir, base := path.Split(clean(name))
	parent, err := MkdirIn(root, dir, 0o755, uid, gid)
	if err != nil {
		return nil, err
	}
	defer func() { _ = parent.Close() }() // only a path
	fd := -1
	err = create(parent, uid, gid, func(dir int) (err error) {
		fd, err = unix.Openat(dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	if errors.Is(err, unix.EEXIST) {
		f, err := OpenIn(root, name, unix.O_PATH)
		return f, blocked(err)
	}
	if err != nil {
		return nil, pathError("create", root, name, err)
	}
	return owned(os.NewFile(uintptr(fd), path.Join(root.Name(), name)), uid, gid)
}

// create runs fn with a directory's descriptor. On an idmapped mount root's id may
// have no place on disk (EOVERFLOW): then fn runs as the owner to be.
func create(dir *os.File, uid, gid uint32, fn func(dir int) error) error {
	err := openfile.Control(dir, fn)
	if errors.Is(err, unix.EOVERFLOW) {
		thread.Throwaway(func() {
			if err = errors.Join(unix.Setfsgid(int(gid)), unix.Setfsuid(int(uid))); err == nil {
				err = openfile.Control(dir, fn)
			}
		})
	}
	return err
}

// owned sets the owner of what was just made.
func owned(f *os.File, uid, gid uint32) (*os.File, error) {
	err := openfile.Control(f, func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Uid == uid && st.Gid == gid {
			return err
		}
		return unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH)
	})
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, &os.PathError{Op: "chown", Path: f.Name(), Err: err}
	}
	return f, nil
}

// openat2 tries again while others rename things in the way, which the kernel
// tells by EAGAIN.
func openat2(dir *os.File, name string, flags int, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: resolve}
	for range 100 {
		err = openfile.Control(dir, func(d int) (err error) {
			fd, err = unix.Openat2(d, name, &how)
			return err
		})
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd, err
}

// clean makes a path absolute and without "..": inside a root these are no way out
// anyway, and so every part can be made in turn.
func clean(name string) string { return path.Clean("/" + name) }

func pathError(op string, root *os.File, name string, err error) error {
	err = &os.PathError{Op: op, Path: strings.TrimSuffix(root.Name(), "/") + clean(name), Err: err}
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	return err
}

// blocked is for what stands in the way of something to be made.
func blocked(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok && errdefs.IsNotFound(err) { // which it shall not say
		return fmt.Errorf("%w: a symbolic link that leads nowhere is in the way: %w", p, errdefs.ErrFailedPrecondition)
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%w: %w", err, errdefs.ErrFailedPrecondition)
	}
	return err
}
