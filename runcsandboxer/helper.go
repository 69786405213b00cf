package runcsandboxer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
)

// helperTimeout bounds what takes a millisecond.
const helperTimeout = 15 * time.Second

// helper is a running pod-reaper that waits for the word to go on; the protocol is
// described in cmd/pod-reaper/reaper.c.
type helper struct {
	conn *net.UnixConn
	// first is the process that was forked, reaper the first one of a pid namespace;
	// nil without one.
	first, reaper *proc.Handle
}

// startHelper forks pod-reaper into the group, if there is one, and returns when it
// has taken its steps.
func startHelper(ctx context.Context, path, steps string, user, network *os.File, g *cgroup.Group) (_ *helper, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("pod-reaper: %w", err)
		}
	}()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	c, err := net.FileConn(ours)
	_ = ours.Close() // FileConn has its own
	if err != nil {
		_ = theirs.Close() // never used
		return nil, err
	}
	h := &helper{conn: c.(*net.UnixConn)}
	h.first, err = forkHelper(path, steps, theirs, user, network, g)
	_ = theirs.Close() // the child has its own
	if err == nil {
		err = h.await(ctx, steps)
	}
	if err != nil {
		return nil, errors.Join(err, h.abandon())
	}
	return h, nil
}

// forkHelper forks and executes it.
func forkHelper(path, steps string, control, user, network *os.File, g *cgroup.Group) (h *proc.Handle, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }() // nothing was written
	pidfd := -1
	sys := &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}
	if g != nil {
		dir, err := g.Dir()
		if err != nil {
			return nil, err
		}
		if dir != nil {
			defer func() { _ = dir.Close() }() // only named to the kernel
			sys.UseCgroupFD, sys.CgroupFD = true, int(dir.Fd())
		}
	}
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{}, Sys: sys}
	for _, f := range []*os.File{null, null, null, control, user, network} {
		if f == nil {
			f = null
		}
		attr.Files = append(attr.Files, f.Fd())
	}
	pid := 0
	err = onThread(func() (err error) {
		if g != nil {
			if err := g.Join(); err != nil {
				return err
			}
		}
		pid, err = syscall.ForkExec(path, []string{"pod-reaper", steps}, attr)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: path, Err: err}
	}
	if h, err = proc.Adopt(pid, pidfd); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL) // not reaped yet, so the pid is its own
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	return h, err
}

// await reads what the helper says until it is ready.
func (h *helper) await(ctx context.Context, steps string) error {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = h.conn.SetDeadline(time.Unix(1, 0)) // wakes the read; fails only when closed
	})
	defer stop()
	ready, reaper := false, 0
	for !ready || asks(steps, 'p') && reaper == 0 {
		var m [12]byte
		n, err := h.conn.Read(m[:])
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("it does not get ready: %w", ctx.Err())
		case err != nil:
			return fmt.Errorf("it ended before it was ready: %w", err)
		case n != len(m):
			return fmt.Errorf("message of %d bytes: %w", n, errdefs.ErrInternal)
		}
		a, b := binary.NativeEndian.Uint32(m[4:]), binary.NativeEndian.Uint32(m[8:])
		switch kind := binary.NativeEndian.Uint32(m[:]); kind {
		case 'P':
			reaper = int(a)
		case 'R':
			ready = true
		case 'E':
			return fmt.Errorf("step %c: %w", rune(a), syscall.Errno(b))
		default:
			return fmt.Errorf("message %d: %w", kind, errdefs.ErrInternal)
		}
	}
	if reaper == 0 {
		return nil
	}
	// It is a child of this process too, so nobody else can have its pid yet.
	ref, err := proc.RefOf(reaper)
	if err == nil {
		h.reaper, err = proc.Open(ref)
	}
	return err
}

func asks(steps string, step byte) bool {
	for i := range len(steps) {
		if steps[i] == step {
			return true
		}
	}
	return false
}

// dir is the directory in /proc of the process that is in the namespaces.
func (h *helper) dir() string {
	if h.reaper != nil {
		return "/proc/" + strconv.Itoa(h.reaper.Ref().Pid)
	}
	return "/proc/" + strconv.Itoa(h.first.Ref().Pid)
}

// release lets the reaper go on, if there is one, and sees the rest end.
func (h *helper) release() error {
	_, err := h.conn.Write([]byte{1})
	if err == nil {
		err = h.reap(h.first)
	}
	return errors.Join(err, h.conn.Close())
}

// abandon ends whatever runs.
func (h *helper) abandon() error {
	_ = h.conn.Close() // with which it ends, were it not to be killed
	var errs []error
	for _, p := range []*proc.Handle{h.first, h.reaper} {
		if p == nil {
			continue
		}
		if err := p.Signal(unix.SIGKILL); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err) {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, h.reap(p))
	}
	return errors.Join(errs...)
}

func (h *helper) reap(p *proc.Handle) error {
	ctx, cancel := context.WithTimeout(context.Background(), helperTimeout)
	defer cancel()
	_, err := p.Wait(ctx)
	if errdefs.IsUnavailable(err) { // reaped already
		return nil
	}
	return errors.Join(err, p.Close())
}
