package wasip1

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// Paths of a guest are resolved by the kernel, relative to a directory it has,
// and cannot leave it (openat2, RESOLVE_BENEATH; Linux 5.6). Nothing is ever
// looked at first and used by the same name later: what is resolved is either
// opened, or is the parent of a last component that the system call using it does
// not follow.

const (
	beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	inRoot  = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

	// resolveRetries is how often a resolution is repeated that the kernel could
	// not vouch for, because something was renamed meanwhile.
	resolveRetries = 256
)

// checkPath refuses what no resolution could make sense of.
func checkPath(path string) Errno {
	switch {
	case path == "":
		return ErrnoNoent
	case path[0] == '/':
		return ErrnoNotcapable
	case strings.IndexByte(path, 0) >= 0:
		return ErrnoInval
	}
	return ErrnoSuccess
}

// open opens path below d on the host and returns the new descriptor, which is the
// caller's.
func (s *System) open(d *descriptor, path string, flags int, mode uint32) (int, Errno) {
	if errno := checkPath(path); errno != ErrnoSuccess {
		return -1, errno
	}
	fd, err := s.openat2(d.fd, path, flags, mode, beneath)
	if errors.Is(err, unix.EXDEV) {
		fd, err = s.openFromRoot(d, path, flags, mode)
	}
	if err != nil {
		if errors.Is(err, unix.EXDEV) {
			return -1, ErrnoNotcapable
		}
		return -1, fromHost(err)
	}
	return fd, ErrnoSuccess
}

func (s *System) openat2(dir int, path string, flags int, mode uint32, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: resolve}
	for i := 0; ; i++ {
		fd, err := unix.Openat2(dir, path, &how)
		if (err != unix.EAGAIN && err != unix.EINTR) || i == resolveRetries || s.Done() {
			return fd, err
		}
	}
}

// openFromRoot repeats, in a tree that is the guest's root directory, a resolution
// that led out of d: a symbolic link with an absolute target, or one with more
// ".." than d is deep, means there what it means to a process whose root it is.
// A path that climbs out of d by itself stays refused.
func (s *System) openFromRoot(d *descriptor, path string, flags int, mode uint32) (int, error) {
	t := d.dir.tree
	if !t.rooted || d.dir.pathless || climbs(path) {
		return -1, unix.EXDEV
	}
	if d.dir.path == "" {
		return s.openat2(t.root.fd, path, flags, mode, inRoot)
	}
	// The directory may have been moved since it was opened. The kernel confines
	// the resolution to the root whatever its name now leads to; a name that leads
	// elsewhere is not what the guest meant.
	dir, err := s.openat2(t.root.fd, d.dir.path, unix.O_PATH|unix.O_DIRECTORY, 0, inRoot)
	if err != nil {
		return -1, unix.EXDEV
	}
	same := sameFile(dir, d.fd)
	_ = unix.Close(dir)
	full := join(d.dir.path, path)
	if !same || len(full) >= maxPath {
		return -1, unix.EXDEV
	}
	return s.openat2(t.root.fd, full, flags, mode, inRoot)
}

// climbs says whether path has more ".." than components before it.
func climbs(path string) bool {
	depth := 0
	for c := range strings.SplitSeq(path, "/") {
		switch c {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

func join(dir, path string) string {
	if dir == "" {
		return path
	}
	return dir + "/" + path
}

func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// entry is a name in an open directory, for system calls that do not follow it.
type entry struct {
	dir  int
	own  bool // dir was opened for this entry
	name string
	// slash says that the path ended in one: it must be a directory.
	slash bool
	// special is a path whose last component is no name: "." or "..".
	special bool
}

func (e *entry) close() {
	if e.own {
		_ = unix.Close(e.dir)
	}
}

// slashed is the name as the kernel is to see it. Only for system calls that
// create, remove or rename: others follow a symbolic link that ends in a slash.
func (e *entry) slashed() string {
	if e.slash {
		return e.name + "/"
	}
	return e.name
}

// parent resolves path but for its last component. The entry must be closed.
func (s *System) parent(d *descriptor, path string) (entry, Errno) {
	if errno := checkPath(path); errno != ErrnoSuccess {
		return entry{}, errno
	}
	trimmed := strings.TrimRight(path, "/")
	e := entry{dir: d.fd, name: trimmed, slash: len(trimmed) < len(path)}
	up := ""
	if i := strings.LastIndexByte(trimmed, '/'); i >= 0 {
		up, e.name = trimmed[:i+1], trimmed[i+1:]
	}
	if e.name == "." || e.name == ".." {
		e.special = true
		up = path // it must exist, and not lead out
	}
	if up != "" {
		fd, errno := s.open(d, up, unix.O_PATH|unix.O_DIRECTORY, 0)
		if errno != ErrnoSuccess {
			return entry{}, errno
		}
		e.dir, e.own = fd, true
	}
	return e, ErrnoSuccess
}
