package intask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// output is a FIFO that somebody writes to, and the thread that reads it. It waits in
// poll(2), not in Go's poller: what is measured is the guest, and a thread that the
// kernel wakes is what containerd's reader is too, at best.
type output struct {
	path  string
	fd    int
	first chan time.Time // has the time of the first byte
	done  chan struct{}  // closed when nobody reads any more
	err   error          // why not; valid then
}

// newOutput makes the FIFO path and reads it from now on, until close.
func newOutput(path string) (*output, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make FIFO %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open FIFO %s: %w", path, err), os.Remove(path))
	}
	o := &output{path: path, fd: fd, first: make(chan time.Time, 1), done: make(chan struct{})}
	go func() { // ends with the last writer
		defer close(o.done)
		o.err = o.read()
	}()
	return o, nil
}

// read reads until there is no writer any more. What was written is not kept, but has
// to be read: whoever wrote it waits for that before it ends.
func (o *output) read() error {
	seen := false
	buf := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		at := time.Now()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("poll %s: %w", o.path, err)
		case fds[0].Revents&unix.POLLIN == 0: // POLLHUP
			return nil
		}
		if !seen {
			seen = true
			o.first <- at
		}
		if _, err := unix.Read(o.fd, buf); err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("read %s: %w", o.path, err)
		}
	}
}

// longestWait bounds the wait for one byte.
const longestWait = time.Minute

// wait returns when the first byte was there to read. It is called once.
func (o *output) wait(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	select {
	case at := <-o.first:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("%s: no byte was written: %w", filepath.Base(o.path), ctx.Err())
	case <-o.done:
	}
	select {
	case at := <-o.first:
		return at, nil
	default:
		return time.Time{}, errors.Join(fmt.Errorf("%s was closed before a byte was written", filepath.Base(o.path)), o.err)
	}
}

// close removes the FIFO, after every other writer has closed it.
func (o *output) close() error {
	w, err := unix.Open(o.path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil { // the thread sees this one go, if there was none before
		err = unix.Close(w)
	}
	<-o.done
	return errors.Join(err, o.err, unix.Close(o.fd), os.Remove(o.path))
}
