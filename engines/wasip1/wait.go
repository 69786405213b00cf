package wasip1

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiter is where a guest's call waits, for descriptors, for time, or for news
// from other goroutines, whichever comes first. It is an epoll instance of the
// guest's own that is itself a file on Go's poller, so that a waiting guest keeps
// no processor of the runtime busy, and a deadline in the past wakes it.
//
// One call waits at a time; wake may be called from any goroutine.
type waiter struct {
	mu   sync.Mutex // guards what follows; held for moments only
	news uint64     // counts wake
	ep   *os.File   // made when first needed
	conn syscall.RawConn
	fd   int
}

var longAgo = time.Unix(1, 0)

// seen is the count of wakes up to now. A caller takes it before it looks at the
// state that wake announces, and gives it to wait.
func (w *waiter) seen() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.news
}

// wake ends the current wait, and the next one of a caller who has not seen it.
func (w *waiter) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.news++
	if w.ep != nil {
		// It fails only after close, when nobody waits any more.
		_ = w.ep.SetReadDeadline(longAgo)
	}
}

// open makes the epoll instance.
func (w *waiter) open() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ep != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return err
	}
	ep := os.NewFile(uintptr(fd), "epoll")
	conn, err := ep.SyscallConn()
	if err == nil {
		err = ep.SetReadDeadline(time.Time{}) // fails if it is not on the poller
	}
	if err != nil {
		_ = ep.Close()
		return err
	}
	w.ep, w.conn, w.fd = ep, conn, fd
	return nil
}

func (w *waiter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ep == nil {
		return nil
	}
	err := w.ep.Close()
	w.ep = nil
	return err
}

// wait returns when one of fds may be ready, at deadline (none if zero), or after
// a wake that came after seen. It does not say which: callers look again. No
// descriptor may be among fds twice.
func (w *waiter) wait(seen uint64, deadline time.Time, fds ...unix.PollFd) error {
	if err := w.open(); err != nil {
		return err
	}
	for i, p := range fds {
		ev := unix.EpollEvent{Events: uint32(p.Events), Fd: p.Fd}
		if err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, int(p.Fd), &ev); err != nil {
			w.forget(fds[:i])
			return err
		}
	}
	defer w.forget(fds)

	w.mu.Lock()
	if w.news != seen {
		w.mu.Unlock()
		return nil
	}
	err := w.ep.SetReadDeadline(deadline)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	var inner error
	err = w.conn.Read(func(uintptr) bool {
		var events [1]unix.EpollEvent
		n, err := unix.EpollWait(w.fd, events[:], 0)
		if err == unix.EINTR {
			return false
		}
		inner = err
		return n > 0 || err != nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return errors.Join(err, inner)
}

func (w *waiter) forget(fds []unix.PollFd) {
	for _, p := range fds {
		// It was added just before, and nothing closed it since.
		_ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, int(p.Fd), nil)
	}
}

// sleep waits for d, or less if the guest is killed or something else happens.
func (s *System) sleep(d time.Duration) {
	seen := s.waiter.seen()
	if !s.Done() {
		// Without a waiter the caller looks again too early, no more.
		_ = s.waiter.wait(seen, time.Now().Add(d))
	}
}

// ready asks the kernel, without waiting, what of events holds for fd.
func ready(fd int, events int16) int16 {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	if n, err := pollNow(p[:]); err != nil || n == 0 {
		return 0
	}
	return p[0].Revents
}

// pollNow is poll(2) that never waits.
func pollNow(fds []unix.PollFd) (int, error) {
	for {
		var zero unix.Timespec // the kernel writes to it
		n, err := unix.Ppoll(fds, &zero, nil)
		if err != unix.EINTR {
			return n, err
		}
	}
}
