package wasip1

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func fdFdstatGet(s *System, m memory, a []uint64) Errno {
	d, errno := s.known(a[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	b, ok := m.bytes(uint32(a[1]), sizeFdstat)
	if !ok {
		return ErrnoFault
	}
	if d.undecided {
		d.undecided = false
		d.flags |= fdflagNonblock
	}
	clear(b)
	b[0] = byte(d.kind)
	binary.LittleEndian.PutUint16(b[2:], uint16(d.flags))
	binary.LittleEndian.PutUint64(b[8:], uint64(d.base))
	binary.LittleEndian.PutUint64(b[16:], uint64(d.inheriting))
	return ErrnoSuccess
}

func fdFdstatSetFlags(s *System, _ memory, a []uint64) Errno {
	d, errno := s.known(a[0], rightFdFdstatSetFlags)
	if errno != ErrnoSuccess {
		return errno
	}
	flags := fdflags(a[1])
	switch {
	case flags&^fdflagsAll != 0:
		return ErrnoInval
	case (flags^d.flags)&fdflagsSyncing != 0:
		return ErrnoNotsup // Linux ignores them after open
	}
	if (flags^d.flags)&fdflagAppend != 0 && d.kind == filetypeRegular {
		if err := setAppend(d.fd, flags&fdflagAppend != 0); err != nil {
			return fromHost(err)
		}
	}
	// Not to block is a matter of this layer alone: the host's descriptor never
	// blocks, or is shared with others and stays as it is.
	d.flags, d.undecided = flags, false
	return ErrnoSuccess
}

func setAppend(fd int, on bool) error {
	fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	fl &^= unix.O_APPEND
	if on {
		fl |= unix.O_APPEND
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, fl)
	return err
}

func fdFdstatSetRights(s *System, _ memory, a []uint64) Errno {
	d, errno := s.known(a[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	base, inheriting := rights(a[1]), rights(a[2])
	if base&^d.base != 0 || inheriting&^d.inheriting != 0 {
		return ErrnoNotcapable
	}
	d.base, d.inheriting = base, inheriting
	return ErrnoSuccess
}

func fdPrestatGet(s *System, m memory, a []uint64) Errno {
	d, errno := s.known(a[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	if d.dir == nil || !d.dir.preopen {
		return ErrnoBadf
	}
	b, ok := m.bytes(uint32(a[1]), sizePrestat)
	if !ok {
		return ErrnoFault
	}
	clear(b) // the tag of a directory is 0
	binary.LittleEndian.PutUint32(b[4:], uint32(len(d.dir.tree.guest)))
	return ErrnoSuccess
}

func fdPrestatDirName(s *System, m memory, a []uint64) Errno {
	d, errno := s.known(a[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	if d.dir == nil || !d.dir.preopen {
		return ErrnoBadf
	}
	name := d.dir.tree.guest
	if uint64(uint32(a[2])) < uint64(len(name)) {
		return ErrnoNametoolong
	}
	b, ok := m.bytes(uint32(a[1]), uint32(len(name)))
	if !ok {
		return ErrnoFault
	}
	copy(b, name)
	return ErrnoSuccess
}
