package wasip1

import (
	"math"

	"golang.org/x/sys/unix"
)

func fdClose(s *System, _ memory, a []uint64) Errno {
	d := s.table.remove(uint32(a[0]))
	if d == nil {
		return ErrnoBadf
	}
	return fromHost(d.close())
}

// fdRenumber moves a descriptor to the number of another one that is open.
func fdRenumber(s *System, _ memory, a []uint64) Errno {
	from, to := s.table.get(uint32(a[0])), s.table.get(uint32(a[1]))
	if from == nil || to == nil {
		return ErrnoBadf
	}
	if from == to {
		return ErrnoSuccess
	}
	s.table.remove(uint32(a[0]))
	s.table.slots[uint32(a[1])] = from
	_ = to.close() // as dup2: its error is lost
	return ErrnoSuccess
}

func fdSeek(s *System, m memory, a []uint64) Errno {
	d, errno := s.descriptor(a[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	whence := uint32(a[2]) & 0xff
	need := rightFdSeek
	if whence == unix.SEEK_CUR && a[1] == 0 {
		need = rightFdTell // the specification counts the two as one
		if d.base&rightFdSeek != 0 {
			need = rightFdSeek
		}
	}
	switch {
	case d.dir != nil:
		return ErrnoBadf
	case !d.seekable:
		return ErrnoSpipe
	case d.base&need == 0:
		return ErrnoNotcapable
	case whence > unix.SEEK_END: // the numbers are Linux's
		return ErrnoInval
	}
	if errno := m.putUint64(uint32(a[3]), 0); errno != ErrnoSuccess {
		return errno
	}
	n, err := unix.Seek(d.fd, int64(a[1]), int(whence))
	if err != nil {
		return fromHost(err)
	}
	return m.putUint64(uint32(a[3]), uint64(n))
}

func fdTell(s *System, m memory, a []uint64) Errno {
	return fdSeek(s, m, []uint64{a[0], 0, unix.SEEK_CUR, a[1]})
}

func fdSync(s *System, _ memory, a []uint64) Errno {
	return s.sync(a[0], rightFdSync, unix.Fsync)
}

func fdDatasync(s *System, _ memory, a []uint64) Errno {
	return s.sync(a[0], rightFdDatasync, unix.Fdatasync)
}

func (s *System) sync(fd uint64, need rights, op func(int) error) Errno {
	d, errno := s.descriptor(fd, 0)
	switch {
	case errno != ErrnoSuccess:
		return errno
	case d.stream() || d.fd < 0:
		return ErrnoInval
	case d.base&need == 0:
		return ErrnoNotcapable
	}
	return fromHost(op(d.fd))
}

// advices are those of preview 1, as Linux counts them.
var advices = [...]int{
	unix.FADV_NORMAL, unix.FADV_SEQUENTIAL, unix.FADV_RANDOM,
	unix.FADV_WILLNEED, unix.FADV_DONTNEED, unix.FADV_NOREUSE,
}

func fdAdvise(s *System, _ memory, a []uint64) Errno {
	d, errno := s.descriptor(a[0], 0)
	advice := uint32(a[3]) & 0xff
	switch {
	case errno != ErrnoSuccess:
		return errno
	case d.dir != nil:
		return ErrnoBadf
	case !d.seekable:
		return ErrnoSpipe
	case d.base&rightFdAdvise == 0:
		return ErrnoNotcapable
	case int(advice) >= len(advices), a[1] > math.MaxInt64, a[2] > math.MaxInt64:
		return ErrnoInval
	}
	return fromHost(unix.Fadvise(d.fd, int64(a[1]), int64(a[2]), advices[advice]))
}

func fdAllocate(s *System, _ memory, a []uint64) Errno {
	d, errno := s.descriptor(a[0], 0)
	switch {
	case errno != ErrnoSuccess:
		return errno
	case d.dir != nil:
		return ErrnoBadf
	case !d.seekable:
		return ErrnoSpipe
	case d.base&rightFdAllocate == 0:
		return ErrnoNotcapable
	case a[1] > math.MaxInt64, a[2] > math.MaxInt64, a[2] == 0:
		return ErrnoInval
	case a[1]+a[2] > math.MaxInt64:
		return ErrnoFbig
	}
	return fromHost(unix.Fallocate(d.fd, 0, int64(a[1]), int64(a[2])))
}
