package wasip1

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// socket finds fd, which must be a socket with all the rights needed.
func (s *System) socket(fd uint64, need rights) (*descriptor, Errno) {
	d := s.table.get(uint32(fd))
	switch {
	case d == nil:
		return nil, ErrnoBadf
	case d.kind != filetypeSocketStream && d.kind != filetypeSocketDgram:
		return nil, ErrnoNotsock
	case d.base&need != need:
		return nil, ErrnoNotcapable
	}
	return d, ErrnoSuccess
}

// sockAccept waits for a connection. After Shutdown it fails as Linux's accept does
// on a socket that does not listen.
func sockAccept(s *System, m memory, a []uint64) Errno {
	d, errno := s.socket(a[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	flags := fdflags(a[1])
	switch {
	case d.base&rightSockAccept == 0 && d.inheriting == 0:
		return ErrnoInval // a connection
	case d.base&rightSockAccept == 0:
		return ErrnoNotcapable
	case flags&^fdflagNonblock != 0:
		return ErrnoInval
	case s.table.full():
		return ErrnoMfile
	}
	if errno := m.putUint32(uint32(a[2]), 0); errno != ErrnoSuccess {
		return errno
	}
	conn, errno := s.attempt(d, unix.POLLIN, ErrnoInval, func(fd int) (int, error) {
		n, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return n, err
	})
	if errno != ErrnoSuccess {
		return errno
	}
	f := &file{fd: conn, kind: d.kind}
	fd, errno := s.table.insert(&descriptor{file: f, base: d.inheriting & rightsConnection, flags: flags})
	if errno != ErrnoSuccess {
		return errno
	}
	return m.putUint32(uint32(a[2]), fd)
}

func sockRecv(s *System, m memory, a []uint64) Errno {
	d, errno := s.socket(a[0], rightFdRead)
	if errno != ErrnoSuccess {
		return errno
	}
	in := uint32(a[3]) & 0xffff
	if in&^(riPeek|riWaitall) != 0 {
		return ErrnoInval
	}
	s.scratch.iovs, errno = m.iovecs(s.scratch.iovs[:0], uint32(a[1]), uint32(a[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	roflags, ok := m.bytes(uint32(a[5]), 2)
	if !ok {
		return ErrnoFault
	}
	if errno := m.putUint32(uint32(a[4]), 0); errno != ErrnoSuccess {
		return errno
	}
	flags := unix.MSG_DONTWAIT
	if in&riPeek != 0 {
		flags |= unix.MSG_PEEK
	}
	total, out := 0, uint16(0)
	for bufs := s.scratch.iovs; ; {
		n, errno := s.attempt(d, unix.POLLIN, ErrnoSuccess, func(fd int) (int, error) {
			n, _, got, _, err := unix.RecvmsgBuffers(fd, s.scratch.part(bufs, maxTransfer), nil, flags)
			if err == nil && got&unix.MSG_TRUNC != 0 {
				out = roDataTruncated
			}
			return n, err
		})
		if errno != ErrnoSuccess && total == 0 {
			return errno
		}
		total += n
		bufs = skip(bufs, n)
		// What is peeked at comes again and cannot be waited for in parts.
		if n == 0 || len(bufs) == 0 || in != riWaitall || d.kind != filetypeSocketStream {
			break
		}
	}
	binary.LittleEndian.PutUint16(roflags, out)
	return m.putUint32(uint32(a[4]), uint32(total))
}

func sockSend(s *System, m memory, a []uint64) Errno {
	d, errno := s.socket(a[0], rightFdWrite)
	if errno != ErrnoSuccess {
		return errno
	}
	if uint32(a[3])&0xffff != 0 { // preview 1 has no flags for it
		return ErrnoInval
	}
	s.scratch.iovs, errno = m.iovecs(s.scratch.iovs[:0], uint32(a[1]), uint32(a[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	if errno := m.putUint32(uint32(a[4]), 0); errno != ErrnoSuccess {
		return errno
	}
	n, errno := s.write(d, s.scratch.iovs)
	return count(m, a[4], n, errno)
}

func sockShutdown(s *System, _ memory, a []uint64) Errno {
	d, errno := s.socket(a[0], rightSockShutdown)
	if errno != ErrnoSuccess {
		return errno
	}
	how := 0
	switch uint32(a[1]) & 0xff {
	case sdRd:
		how = unix.SHUT_RD
	case sdWr:
		how = unix.SHUT_WR
	case sdRd | sdWr:
		how = unix.SHUT_RDWR
	default:
		return ErrnoInval
	}
	return fromHost(unix.Shutdown(d.fd, how))
}
