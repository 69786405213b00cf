package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Exit is how a process ended.
type Exit struct {
	// Status is the exit code, 128+n after signal n; meaningless unless Known.
	Status uint32
	// Known is false when only the end, not its manner, could be seen: a process
	// that is no child, on a kernel before 6.15.
	Known bool
	// At is when the end was noticed.
	At time.Time
}

// Handle is one process, held by a pidfd: it never means another process, whatever
// happens to the pid. Safe for concurrent use.
//
// A handle of a child reaps it. Nobody else should; if somebody does, Exit is
// still Known on kernels that keep it.
type Handle struct {
	ref  Ref
	file *os.File

	done chan struct{} // closed by watch when the process has ended or Close was called
	exit Exit          // valid after done if err is nil
	err  error         // valid after done

	watch sync.Once
	wg    sync.WaitGroup

	mu   sync.Mutex // guards the fields below
	over bool       // done was closed: then does not change any more
	then []func(Exit, error)
}

// Open returns a handle of the process that ref names; errdefs.ErrNotFound if it
// has ended, even if its pid belongs to another process now.
func Open(ref Ref) (*Handle, error) {
	if ref.Pid <= 0 {
		return nil, fmt.Errorf("process %d: %w", ref.Pid, errdefs.ErrInvalidArgument)
	}
	fd, err := unix.PidfdOpen(ref.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil, fmt.Errorf("process %d: %w", ref.Pid, errdefs.ErrNotFound)
		}
		return nil, fmt.Errorf("process %d: pidfd_open: %w", ref.Pid, err)
	}
	// The pidfd is of whoever had the pid just now. If the start time read after
	// that is right, the process existed before and after: it is the one.
	now, err := RefOf(ref.Pid)
	if err == nil && now != ref {
		err = fmt.Errorf("process %d started at tick %d: now it is one that started at %d: %w",
			ref.Pid, ref.StartTime, now.StartTime, errdefs.ErrNotFound)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written
		return nil, err
	}
	return newHandle(ref, fd), nil
}

// Adopt makes a handle of a child that was just forked, from the pidfd that the
// fork gave; the handle owns the descriptor, also after an error.
func Adopt(pid, pidfd int) (*Handle, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd) // nothing was written
		return nil, fmt.Errorf("pidfd of process %d: %w", pid, err)
	}
	ref, err := RefOf(pid) // a zombie has one too, and it is ours to reap
	if err != nil {
		_ = unix.Close(pidfd) // nothing was written
		return nil, err
	}
	return newHandle(ref, pidfd), nil
}

func newHandle(ref Ref, fd int) *Handle {
	return &Handle{ref: ref, file: os.NewFile(uintptr(fd), "pidfd"), done: make(chan struct{})}
}

// Ref is the process's name in a record.
func (h *Handle) Ref() Ref { return h.ref }

// File is the pidfd; it belongs to the handle.
func (h *Handle) File() *os.File { return h.file }

// Wait blocks until the process has ended, as often as one likes, and answers the
// same for ever after. It costs a goroutine per handle, no thread and no polling.
// errdefs.ErrUnavailable after Close.
func (h *Handle) Wait(ctx context.Context) (Exit, error) {
	h.start()
	select {
	case <-h.done:
		return h.exit, h.err
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("wait for process %d: %w", h.ref.Pid, ctx.Err())
	}
}

// Done is closed when the process has ended or the handle was closed.
func (h *Handle) Done() <-chan struct{} {
	h.start()
	return h.done
}

// Signal sends a signal; errdefs.ErrNotFound if the process has ended.
func (h *Handle) Signal(sig syscall.Signal) error {
	var serr error
	if err := h.control(func(fd int) { serr = unix.PidfdSendSignal(fd, sig, nil, 0) }); err != nil {
		return err
	}
	switch {
	case errors.Is(serr, unix.ESRCH):
		return fmt.Errorf("process %d: %w", h.ref.Pid, errdefs.ErrNotFound)
	case serr != nil:
		return fmt.Errorf("send %v to process %d: %w", sig, h.ref.Pid, serr)
	}
	return nil
}

// Close lets go of the process, which runs on. Waiters get an error, unless the
// end was already known.
func (h *Handle) Close() error {
	err := h.file.Close()
	h.wg.Wait()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func (h *Handle) start() {
	h.watch.Do(func() {
		h.wg.Go(func() {
			h.exit, h.err = h.await()
			close(h.done)
			h.mu.Lock()
			h.over = true
			h.mu.Unlock()
			for _, fn := range h.then { // nobody adds to it any more
				fn(h.exit, h.err)
			}
		})
	})
}

// Then calls fn with what Wait says, when it does, without a goroutine more than a
// handle has that is waited for at all; several one after the other. Close waits for
// them.
func (h *Handle) Then(fn func(Exit, error)) {
	h.start()
	h.mu.Lock()
	over := h.over
	if !over {
		h.then = append(h.then, fn)
	}
	h.mu.Unlock()
	if over {
		h.wg.Go(func() { fn(h.exit, h.err) })
	}
}

func (h *Handle) control(fn func(fd int)) error {
	c, err := h.file.SyscallConn()
	if err == nil {
		err = c.Control(func(fd uintptr) { fn(int(fd)) })
	}
	if err != nil {
		return fmt.Errorf("process %d: handle closed: %w", h.ref.Pid, errdefs.ErrUnavailable)
	}
	return nil
}

// Resume makes a handle from a pidfd that somebody has kept while this process was not
// there. Unlike with Open the process may have ended, and been reaped, long ago: a
// kernel from 6.15 on tells how all the same. The handle owns the descriptor, also
// after an error.
func Resume(ref Ref, pidfd int) (*Handle, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd) // nothing was written
		return nil, fmt.Errorf("pidfd of process %d: %w", ref.Pid, err)
	}
	return newHandle(ref, pidfd), nil
}
