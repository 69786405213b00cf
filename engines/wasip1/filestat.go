package wasip1

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"
)

// putFilestat stores what is known of fd, an open file of any kind, at ptr.
func putFilestat(m memory, ptr uint64, fd int, kind filetype) Errno {
	b, ok := m.bytes(uint32(ptr), sizeFilestat)
	if !ok {
		return ErrnoFault
	}
	var st unix.Stat_t
	if fd >= 0 {
		if err := unix.Fstat(fd, &st); err != nil {
			return fromHost(err)
		}
	}
	le := binary.LittleEndian
	clear(b)
	le.PutUint64(b, st.Dev)
	le.PutUint64(b[8:], st.Ino)
	b[16] = byte(kind)
	if kind == filetypeUnknown {
		b[16] = byte(kindOf(st.Mode))
	}
	le.PutUint64(b[24:], uint64(st.Nlink)) //nolint:unconvert // it has 32 bits on arm64
	le.PutUint64(b[32:], uint64(st.Size))
	le.PutUint64(b[40:], nanoseconds(st.Atim))
	le.PutUint64(b[48:], nanoseconds(st.Mtim))
	le.PutUint64(b[56:], nanoseconds(st.Ctim))
	return ErrnoSuccess
}

// nanoseconds is a timestamp of preview 1, which knows none before 1970.
func nanoseconds(t unix.Timespec) uint64 {
	if t.Sec < 0 || t.Sec > math.MaxInt64/1_000_000_000-1 {
		return 0
	}
	return uint64(t.Nano())
}

func fdFilestatGet(s *System, m memory, a []uint64) Errno {
	d, errno := s.descriptor(a[0], rightFdFilestatGet)
	if errno != ErrnoSuccess {
		return errno
	}
	return putFilestat(m, a[1], d.fd, d.kind)
}

func pathFilestatGet(s *System, m memory, a []uint64) Errno {
	fd, _, errno := s.lookup(m, a, rightPathFilestatGet)
	if errno != ErrnoSuccess {
		return errno
	}
	defer func() { _ = unix.Close(fd) }()
	return putFilestat(m, a[4], fd, filetypeUnknown)
}

// lookup opens what descriptor, flags, path and length in a[0] to a[3] name, only
// to look at it.
func (s *System) lookup(m memory, a []uint64, need rights) (int, *descriptor, Errno) {
	d, errno := s.directory(a[0], need)
	if errno != ErrnoSuccess {
		return -1, nil, errno
	}
	path, errno := m.path(uint32(a[2]), uint32(a[3]))
	if errno != ErrnoSuccess {
		return -1, nil, errno
	}
	flags := unix.O_PATH
	if a[1]&lookupSymlinkFollow == 0 {
		flags |= unix.O_NOFOLLOW
	}
	fd, errno := s.open(d, path, flags, 0)
	return fd, d, errno
}

func fdFilestatSetSize(s *System, m memory, a []uint64) Errno {
	d, errno := s.descriptor(a[0], 0)
	switch {
	case errno != ErrnoSuccess:
		return errno
	case d.dir != nil:
		return ErrnoIsdir
	case d.kind != filetypeRegular:
		return ErrnoInval
	case d.base&rightFdFilestatSetSize == 0:
		return ErrnoNotcapable
	case a[1] > math.MaxInt64:
		return ErrnoInval
	}
	return fromHost(unix.Ftruncate(d.fd, int64(a[1])))
}

func fdFilestatSetTimes(s *System, m memory, a []uint64) Errno {
	d, errno := s.descriptor(a[0], rightFdFilestatSetTimes)
	if errno != ErrnoSuccess {
		return errno
	}
	if d.readOnly {
		return ErrnoRofs
	}
	return setTimes(d.fd, a[1], a[2], a[3])
}

func pathFilestatSetTimes(s *System, m memory, a []uint64) Errno {
	fd, d, errno := s.lookup(m, a, rightPathFilestatSetTimes)
	if errno != ErrnoSuccess {
		return errno
	}
	defer func() { _ = unix.Close(fd) }()
	if d.readOnly {
		return ErrnoRofs
	}
	return setTimes(fd, a[4], a[5], a[6])
}

// setTimes sets the times of an open file, also one opened with O_PATH (Linux 5.8).
func setTimes(fd int, atim, mtim, flags uint64) Errno {
	at, errno := timespec(atim, flags, fstAtim, fstAtimNow)
	if errno != ErrnoSuccess {
		return errno
	}
	mt, errno := timespec(mtim, flags, fstMtim, fstMtimNow)
	if errno != ErrnoSuccess {
		return errno
	}
	return fromHost(unix.UtimesNanoAt(fd, "", []unix.Timespec{at, mt}, unix.AT_EMPTY_PATH))
}

func timespec(t, flags, set, now uint64) (unix.Timespec, Errno) {
	switch {
	case flags&0xffff&^fstAll != 0, flags&set != 0 && flags&now != 0:
		return unix.Timespec{}, ErrnoInval
	case flags&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}, ErrnoSuccess
	case flags&set == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}, ErrnoSuccess
	case t > math.MaxInt64:
		return unix.Timespec{}, ErrnoInval
	}
	return unix.NsecToTimespec(int64(t)), ErrnoSuccess
}
