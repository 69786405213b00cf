package pods

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// logWatch tells when the first byte of a log was written, also when that was before
// anybody asked, and when its writer has closed it, which containerd does when the
// container's outputs have ended.
type logWatch struct {
	f       *os.File
	written chan time.Time
	closed  chan struct{} // closed by the first close after the first byte
	failed  chan error
	done    chan struct{} // closed when nobody reads f any more
}

// watchLog watches the file name, which need not exist, in dir, which must.
func watchLog(dir, name string) (*logWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &logWatch{
		f: os.NewFile(uintptr(fd), "inotify"), written: make(chan time.Time, 1),
		closed: make(chan struct{}), failed: make(chan error, 1), done: make(chan struct{}),
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_CLOSE_WRITE); err != nil {
		_ = w.f.Close() // nothing was read yet
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	go func() {
		defer close(w.done)
		if err := w.wait(name); err != nil {
			w.failed <- err
		}
	}()
	return w, nil
}

// wait reads events until the file was written to and closed. It ends when the
// descriptor is closed.
func (w *logWatch) wait(name string) error {
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	written := false
	for {
		n, err := w.f.Read(buf)
		at := time.Now()
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			mask := binary.NativeEndian.Uint32(b[4:8])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:16]))
			of := strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
			b = b[end:]
			switch {
			case of != name:
			case mask&unix.IN_MODIFY != 0 && !written:
				written = true
				w.written <- at
			case mask&unix.IN_CLOSE_WRITE != 0 && written:
				close(w.closed)
				return nil
			}
		}
	}
}

// first waits for the first byte.
func (w *logWatch) first(ctx context.Context) (time.Time, error) {
	select {
	case at := <-w.written:
		return at, nil
	case err := <-w.failed:
		return time.Time{}, err
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("nothing was written to the log: %w", ctx.Err())
	}
}

// end waits until the log is closed, after first.
func (w *logWatch) end(ctx context.Context) error {
	select {
	case <-w.closed:
		return nil
	case err := <-w.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the log stays open: %w", ctx.Err())
	}
}

// close ends the watch.
func (w *logWatch) close() error {
	err := w.f.Close()
	<-w.done
	return err
}
