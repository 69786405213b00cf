package wasip1

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"
)

func fdRead(s *System, m memory, a []uint64) Errno {
	d, bufs, errno := s.transfer(m, a, rightFdRead, a[3])
	if errno != ErrnoSuccess {
		return errno
	}
	n, errno := s.read(d, bufs)
	return count(m, a[3], n, errno)
}

func fdWrite(s *System, m memory, a []uint64) Errno {
	d, bufs, errno := s.transfer(m, a, rightFdWrite, a[3])
	if errno != ErrnoSuccess {
		return errno
	}
	n, errno := s.write(d, bufs)
	return count(m, a[3], n, errno)
}

func fdPread(s *System, m memory, a []uint64) Errno {
	d, bufs, errno := s.transfer(m, a, rightFdRead, a[4])
	if errno != ErrnoSuccess {
		return errno
	}
	if errno := seekable(d, a[3]); errno != ErrnoSuccess {
		return errno
	}
	n, errno := s.chunks(bufs, func(part [][]byte, done int) (int, error) {
		return unix.Preadv(d.fd, part, int64(a[3])+int64(done))
	})
	return count(m, a[4], n, errno)
}

func fdPwrite(s *System, m memory, a []uint64) Errno {
	d, bufs, errno := s.transfer(m, a, rightFdWrite, a[4])
	if errno != ErrnoSuccess {
		return errno
	}
	if errno := seekable(d, a[3]); errno != ErrnoSuccess {
		return errno
	}
	n, errno := s.chunks(bufs, func(part [][]byte, done int) (int, error) {
		return unix.Pwritev(d.fd, part, int64(a[3])+int64(done))
	})
	return count(m, a[4], n, errno)
}

// transfer is what the four have in common: the descriptor, the buffers, and that
// the count can be stored, which is too late to find out afterwards.
func (s *System) transfer(m memory, a []uint64, need rights, counter uint64) (*descriptor, [][]byte, Errno) {
	d, errno := s.descriptor(a[0], 0)
	if errno != ErrnoSuccess {
		return nil, nil, errno
	}
	if d.dir != nil {
		return nil, nil, ErrnoIsdir
	}
	if d.base&need != need {
		return nil, nil, ErrnoBadf // what a Linux file not opened for it says
	}
	s.scratch.iovs, errno = m.iovecs(s.scratch.iovs[:0], uint32(a[1]), uint32(a[2]))
	if errno != ErrnoSuccess {
		return nil, nil, errno
	}
	return d, s.scratch.iovs, m.putUint32(uint32(counter), 0)
}

// count stores the result of a transfer.
func count(m memory, ptr uint64, n int, errno Errno) Errno {
	if errno != ErrnoSuccess {
		return errno
	}
	return m.putUint32(uint32(ptr), uint32(n))
}

// seekable checks that d has positions and offset can be one.
func seekable(d *descriptor, offset uint64) Errno {
	switch {
	case !d.seekable:
		return ErrnoSpipe
	case d.base&rightFdSeek == 0:
		return ErrnoNotcapable
	case offset > math.MaxInt64-maxCount:
		return ErrnoInval
	}
	return ErrnoSuccess
}

func (s *System) read(d *descriptor, bufs [][]byte) (int, Errno) {
	switch {
	case d.fd < 0 || len(bufs) == 0:
		return 0, ErrnoSuccess
	case d.stream():
		return s.readStream(d, s.scratch.part(bufs, maxTransfer))
	}
	return s.chunks(bufs, func(part [][]byte, _ int) (int, error) { return unix.Readv(d.fd, part) })
}

func (s *System) write(d *descriptor, bufs [][]byte) (int, Errno) {
	switch {
	case d.fd < 0:
		n := 0
		for _, b := range bufs {
			n += len(b)
		}
		return n, ErrnoSuccess
	case d.stream():
		return s.writeStream(d, bufs)
	}
	return s.chunks(bufs, func(part [][]byte, _ int) (int, error) { return unix.Writev(d.fd, part) })
}

// chunks runs op, which does not block, over bufs in parts until it comes up
// short. What was done before an error is a success.
func (s *System) chunks(bufs [][]byte, op func(part [][]byte, done int) (int, error)) (int, Errno) {
	total := 0
	for len(bufs) > 0 && !s.Done() {
		part := s.scratch.part(bufs, maxTransfer)
		want := 0
		for _, b := range part {
			want += len(b)
		}
		n, err := op(part, total)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			if total > 0 {
				break
			}
			return 0, fromHost(err)
		}
		total += n
		if n < want {
			break
		}
		bufs = skip(bufs, n)
	}
	return total, ErrnoSuccess
}
