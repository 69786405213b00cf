package wasip1

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// attempt runs op on a stream until it has an answer: op is a system call that
// does not block, events says what to wait for when it cannot proceed. The
// result is that of op, or what ended the waiting: the guest was killed, asked not
// to wait, or what it waits for will not come (atEnd is returned).
func (s *System) attempt(d *descriptor, events int16, atEnd Errno, op func(fd int) (int, error)) (int, Errno) {
	for {
		seen := s.waiter.seen()
		if s.Done() {
			return 0, ErrnoCanceled
		}
		// Asked for before op, so that op sees everything that came before the end.
		ended := events&unix.POLLIN != 0 && d.ended.Load()
		if !d.blocking || ready(d.fd, events) != 0 {
			n, err := op(d.fd)
			switch {
			case err == nil:
				return n, ErrnoSuccess
			case errors.Is(err, unix.EINTR):
				continue
			case !errors.Is(err, unix.EAGAIN):
				return 0, fromHost(err)
			}
		}
		if ended {
			return 0, atEnd
		}
		if d.flags&fdflagNonblock != 0 {
			return 0, ErrnoAgain
		}
		err := s.waiter.wait(seen, time.Time{}, unix.PollFd{Fd: int32(d.fd), Events: events})
		if err != nil {
			return 0, fromHost(err)
		}
	}
}

// readStream reads what is there, and waits if there is nothing.
func (s *System) readStream(d *descriptor, bufs [][]byte) (int, Errno) {
	return s.attempt(d, unix.POLLIN, ErrnoSuccess, func(fd int) (int, error) {
		n, err := unix.Readv(fd, bufs)
		if n == 0 && err == nil && d.fifo && d.owner == nil && ready(fd, unix.POLLIN) == 0 {
			// A FIFO that the guest opened and nobody yet for writing: Linux would
			// not have returned from open, which a kill could not end.
			return 0, unix.EAGAIN
		}
		return n, err
	})
}

// writeStream writes everything unless the guest asked not to wait. What was
// written before an error is a success.
func (s *System) writeStream(d *descriptor, bufs [][]byte) (int, Errno) {
	limit := maxTransfer
	if d.blocking {
		limit = pipeBuf
	}
	total := 0
	for len(bufs) > 0 {
		part := s.scratch.part(bufs, limit)
		n, errno := s.attempt(d, unix.POLLOUT, ErrnoPipe, func(fd int) (int, error) {
			return unix.Writev(fd, part)
		})
		total += n
		if errno != ErrnoSuccess {
			if total > 0 {
				return total, ErrnoSuccess
			}
			return 0, errno
		}
		bufs = skip(bufs, n)
	}
	return total, ErrnoSuccess
}

// part is the beginning of bufs, at most limit bytes of it.
func (c *scratch) part(bufs [][]byte, limit int) [][]byte {
	for i, b := range bufs {
		if len(b) < limit {
			limit -= len(b)
			continue
		}
		if i == 0 {
			c.one[0] = b[:limit]
			return c.one[:]
		}
		if len(b) > limit {
			return bufs[:i] // the next one begins with it
		}
		return bufs[:i+1]
	}
	return bufs
}

// skip removes the first n bytes of bufs, which it changes.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}
