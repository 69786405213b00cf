package wasip1

import (
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links Linux follows in one resolution.
const maxLinks = 40

func pathLink(s *System, m memory, a []uint64) Errno {
	d, errno := s.directory(a[0], rightPathLinkSource)
	if errno != ErrnoSuccess {
		return errno
	}
	old, errno := m.path(uint32(a[2]), uint32(a[3]))
	if errno != ErrnoSuccess {
		return errno
	}
	from, errno := s.linkSource(d, old, a[1]&lookupSymlinkFollow != 0)
	if errno != ErrnoSuccess {
		return errno
	}
	defer from.close()
	to, errno := s.entryAt(m, a[4], a[5], a[6], rightPathLinkTarget, ErrnoExist)
	if errno != ErrnoSuccess {
		return errno
	}
	defer to.close()
	// A second name makes a file changeable through it: nothing read-only may get
	// one. Said only now, since a missing file comes first.
	if d.readOnly {
		return ErrnoRofs
	}
	return fromHost(unix.Linkat(from.dir, from.name, to.dir, to.slashed(), 0))
}

// linkSource finds the entry that a link is made to. Symbolic links are followed
// here, each step confined like any path, because linkat would follow them out of
// the directory, and needs a capability to link an open file.
func (s *System) linkSource(d *descriptor, path string, follow bool) (entry, Errno) {
	for range maxLinks {
		e, errno := s.parent(d, path)
		if errno != ErrnoSuccess {
			return entry{}, errno
		}
		if e.special {
			e.close()
			return entry{}, ErrnoPerm // a directory
		}
		if e.slash {
			fd, errno := s.open(d, path, unix.O_PATH|unix.O_DIRECTORY, 0)
			e.close()
			if errno == ErrnoSuccess {
				_ = unix.Close(fd)
				errno = ErrnoPerm
			}
			return entry{}, errno
		}
		if !follow {
			return e, ErrnoSuccess
		}
		var buf [maxPath]byte
		n, err := unix.Readlinkat(e.dir, e.name, buf[:])
		if err == unix.EINVAL {
			return e, ErrnoSuccess
		}
		e.close()
		if err != nil {
			return entry{}, fromHost(err)
		}
		target := string(buf[:n])
		if strings.HasPrefix(target, "/") {
			if !d.dir.tree.rooted {
				return entry{}, ErrnoNotcapable
			}
			d = &descriptor{file: d.dir.tree.root, dir: &directory{tree: d.dir.tree}}
			path, target = "", strings.TrimLeft(target, "/")
			if target == "" {
				return entry{}, ErrnoPerm // a directory
			}
		}
		path = path[:strings.LastIndexByte(path, '/')+1] + target
		if len(path) >= maxPath {
			return entry{}, ErrnoNametoolong
		}
	}
	return entry{}, ErrnoLoop
}
