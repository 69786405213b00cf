package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// reapGrace is how long the end of somebody else's child may take to be reaped
// before its exit is called unknown: the kernel tells the exit status only then.
const reapGrace = 2 * time.Second

// await blocks in Go's poller until the process has ended and finds out how.
func (h *Handle) await() (Exit, error) {
	c, err := h.file.SyscallConn()
	if err != nil {
		return Exit{}, h.closed()
	}
	// A pidfd becomes readable when the process has ended (pidfd_open(2)).
	if err := c.Read(func(fd uintptr) bool { return polled(int(fd), unix.POLLIN) }); err != nil {
		return Exit{}, h.closed()
	}
	e := Exit{At: time.Now()}
	var done bool
	if err := h.control(func(fd int) { e.Status, done = reap(fd); e.Known = done }); err != nil {
		return Exit{}, err
	}
	if done {
		return e, nil
	}
	// Somebody else's child: wait until its parent has reaped it.
	if err := h.file.SetReadDeadline(time.Now().Add(reapGrace)); err != nil {
		return Exit{}, h.closed()
	}
	err = c.Read(func(fd uintptr) bool {
		var tells bool
		e.Status, e.Known, tells = exitInfo(int(fd))
		return e.Known || !tells
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return Exit{}, h.closed()
	}
	return e, nil
}

func (h *Handle) closed() error {
	return fmt.Errorf("process %d: handle closed before it ended: %w", h.ref.Pid, errdefs.ErrUnavailable)
}

func polled(fd int, event int16) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: event}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents&event != 0
}

// reap collects a child; done is false if it is not one, or not any more.
func reap(pidfd int) (status uint32, done bool) {
	for {
		var si childInfo
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, uintptr(pidfd),
			uintptr(unsafe.Pointer(&si)), unix.WEXITED|unix.WNOHANG, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0 || si.pid == 0:
			return 0, false
		case si.code == cldExited:
			return uint32(si.status), true
		}
		return 128 + uint32(si.status), true
	}
}

// childInfo is siginfo_t as waitid(2) fills it on a 64-bit system.
type childInfo struct {
	_      [2]int32 // si_signo, si_errno
	code   int32
	_      int32
	pid    int32
	_      uint32 // si_uid
	status int32
	_      [100]byte
}

// cldExited is CLD_EXITED of asm-generic/siginfo.h: ended by itself.
const cldExited = 1

// exitInfo asks the kernel how the process ended: since 6.15, after it was reaped
// (PIDFD_GET_INFO with PIDFD_INFO_EXIT, linux/pidfd.h). tells is false if it never
// will: kernels before 6.13 lack the call, the two after that forget a process
// once it is reaped.
func exitInfo(pidfd int) (status uint32, known, tells bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err != nil {
		return 0, false, false
	}
	if info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false, true
	}
	return waitStatus(syscall.WaitStatus(info.Exit_code)), true, true
}

// waitStatus turns wait(2)'s status into what shells say.
func waitStatus(w syscall.WaitStatus) uint32 {
	if w.Signaled() {
		return 128 + uint32(w.Signal())
	}
	return uint32(w.ExitStatus())
}
