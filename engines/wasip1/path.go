package wasip1

import (
	"strings"

	"golang.org/x/sys/unix"
)

// entryAt is the directory of a call and the entry it names there, for a call that
// changes it: need are the rights, special is what a path that ends in "." or ".."
// is answered.
func (s *System) entryAt(m memory, fd, ptr, n uint64, need rights, special Errno) (entry, Errno) {
	d, errno := s.directory(fd, need)
	if errno != ErrnoSuccess {
		return entry{}, errno
	}
	path, errno := m.path(uint32(ptr), uint32(n))
	if errno != ErrnoSuccess {
		return entry{}, errno
	}
	e, errno := s.parent(d, path)
	if errno != ErrnoSuccess {
		return entry{}, errno
	}
	switch {
	case e.special:
		e.close()
		return entry{}, special
	case d.readOnly:
		e.close()
		return entry{}, ErrnoRofs
	}
	return e, ErrnoSuccess
}

func pathCreateDirectory(s *System, m memory, a []uint64) Errno {
	e, errno := s.entryAt(m, a[0], a[1], a[2], rightPathCreateDirectory, ErrnoExist)
	if errno != ErrnoSuccess {
		return errno
	}
	defer e.close()
	return fromHost(unix.Mkdirat(e.dir, e.slashed(), 0o777))
}

func pathRemoveDirectory(s *System, m memory, a []uint64) Errno {
	e, errno := s.entryAt(m, a[0], a[1], a[2], rightPathRemoveDirectory, ErrnoInval)
	if errno != ErrnoSuccess {
		return errno
	}
	defer e.close()
	return fromHost(unix.Unlinkat(e.dir, e.slashed(), unix.AT_REMOVEDIR))
}

func pathUnlinkFile(s *System, m memory, a []uint64) Errno {
	e, errno := s.entryAt(m, a[0], a[1], a[2], rightPathUnlinkFile, ErrnoIsdir)
	if errno != ErrnoSuccess {
		return errno
	}
	defer e.close()
	return fromHost(unix.Unlinkat(e.dir, e.slashed(), 0))
}

func pathRename(s *System, m memory, a []uint64) Errno {
	from, errno := s.entryAt(m, a[0], a[1], a[2], rightPathRenameSource, ErrnoBusy)
	if errno != ErrnoSuccess {
		return errno
	}
	defer from.close()
	to, errno := s.entryAt(m, a[3], a[4], a[5], rightPathRenameTarget, ErrnoBusy)
	if errno != ErrnoSuccess {
		return errno
	}
	defer to.close()
	return fromHost(unix.Renameat(from.dir, from.slashed(), to.dir, to.slashed()))
}

// pathSymlink lets a guest write any target but an absolute one, which means
// something else inside than to whoever else looks at the directory. What a
// relative one means is decided when it is resolved.
func pathSymlink(s *System, m memory, a []uint64) Errno {
	target, errno := m.path(uint32(a[0]), uint32(a[1]))
	if errno != ErrnoSuccess {
		return errno
	}
	if strings.HasPrefix(target, "/") {
		return ErrnoNotcapable
	}
	e, errno := s.entryAt(m, a[2], a[3], a[4], rightPathSymlink, ErrnoExist)
	if errno != ErrnoSuccess {
		return errno
	}
	defer e.close()
	return fromHost(unix.Symlinkat(target, e.dir, e.slashed()))
}

func pathReadlink(s *System, m memory, a []uint64) Errno {
	d, errno := s.directory(a[0], rightPathReadlink)
	if errno != ErrnoSuccess {
		return errno
	}
	path, errno := m.path(uint32(a[1]), uint32(a[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	buf, ok := m.bytes(uint32(a[3]), uint32(a[4]))
	if !ok {
		return ErrnoFault
	}
	if errno := m.putUint32(uint32(a[5]), 0); errno != ErrnoSuccess {
		return errno
	}
	e, errno := s.parent(d, path)
	if errno != ErrnoSuccess {
		return errno
	}
	defer e.close()
	if e.special || e.slash {
		return ErrnoInval // a directory, or nothing, is no link
	}
	// The kernel wants room; a guest may ask for none.
	var link [maxPath]byte
	n, err := unix.Readlinkat(e.dir, e.name, link[:])
	if err != nil {
		return fromHost(err)
	}
	return m.putUint32(uint32(a[5]), uint32(copy(buf, link[:n])))
}
