package confine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/netns"
	"blazar/internal/proc"
	"blazar/internal/thread"
)

const (
	// firstFile is the descriptor of Config.Files[0].
	firstFile = 4
	// startTimeout bounds a start whose context has no deadline: the constructor
	// takes a millisecond.
	startTimeout = 15 * time.Second
)

// Start starts a confined process. It returns when the constructor has confirmed
// that everything is in place; after an error nothing runs. An error of the
// constructor names the step and wraps its errno; errdefs.ErrInvalidArgument is
// about the configuration.
func Start(ctx context.Context, c Config) (_ *Process, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start confined %s: %w", filepath.Base(c.Binary), err)
		}
	}()
	if err := c.check(); err != nil {
		return nil, err
	}
	root, err := openRoot(c.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only a path
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	conn, childEnd, err := controlPair()
	if err != nil {
		return nil, err
	}
	h, err := fork(&c, childEnd)
	_ = childEnd.Close() // the child has its own
	if err != nil {
		_ = conn.Close() // never used
		return nil, err
	}
	p := &Process{Pid: h.Ref().Pid, Pidfd: h.File(), Control: conn, handle: h}
	if err := p.confine(ctx, &c, root); err != nil {
		return nil, p.abandon(err)
	}
	return p, nil
}

func (c *Config) check() error {
	bad := func(why string) error { return fmt.Errorf("%s: %w", why, errdefs.ErrInvalidArgument) }
	switch {
	case !filepath.IsAbs(c.Binary):
		return bad("the executable's path must be absolute")
	case !filepath.IsAbs(c.Root):
		return bad("the root's path must be absolute")
	case len(c.Filter) == 0 || len(c.Filter) > maxFilter:
		return bad("a seccomp filter is required")
	case c.UID == 0 || c.GID == 0 || c.UID == ^uint32(0) || c.GID == ^uint32(0):
		return bad("a uid and a gid of its own are required")
	case len(c.Hostname) > maxHostname || strings.ContainsRune(c.Hostname, 0):
		return bad(fmt.Sprintf("host name %q: at most %d bytes, no zero", c.Hostname, maxHostname))
	}
	if c.NetNS != nil {
		return netns.Check(c.NetNS)
	}
	return nil
}

// openRoot opens the root and sees that it is a mount point of a tmpfs.
func openRoot(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	var stx unix.Statx_t
	var fs unix.Statfs_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &stx)
	if err == nil {
		err = unix.Fstatfs(fd, &fs)
	}
	if err == nil && (stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 || fs.Type != unix.TMPFS_MAGIC) {
		err = fmt.Errorf("not the mount point of a tmpfs: %w", errdefs.ErrInvalidArgument)
	}
	if err != nil {
		_ = f.Close() // only a path
		return nil, fmt.Errorf("root %s: %w", path, err)
	}
	return f, nil
}

// controlPair makes the control socket: the daemon's end and the child's.
func controlPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	c, err := net.FileConn(ours)
	_ = ours.Close() // FileConn has its own
	if err != nil {
		_ = theirs.Close() // never used
		return nil, nil, err
	}
	return c.(*net.UnixConn), theirs, nil
}

// fork forks and executes the binary, on a thread of its own where it is to be
// born in a cgroup of v1. The child waits in the constructor.
func fork(c *Config, control *os.File) (h *proc.Handle, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }() // nothing was written
	stderr := c.Stderr
	if stderr == nil {
		stderr = null
	}
	files := append([]*os.File{null, null, stderr, control}, c.Files...)
	if c.CgroupFD != nil {
		files = append(files, c.CgroupFD) // taken off again below
	}
	err = withFds(files, func(fds []int) error {
		pidfd := -1
		// Its own session: no terminal of the daemon's signals it. No parent death
		// signal: pods outlive the daemon.
		sys := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Setsid: true, PidFD: &pidfd}
		if c.CgroupFD != nil {
			sys.UseCgroupFD, sys.CgroupFD = true, fds[len(fds)-1]
			fds = fds[:len(fds)-1]
		}
		attr := &syscall.ProcAttr{Dir: "/", Env: append(c.Env[:len(c.Env):len(c.Env)], envVar+"=1"), Sys: sys}
		for _, fd := range fds {
			attr.Files = append(attr.Files, uintptr(fd))
		}
		argv := append([]string{filepath.Base(c.Binary)}, c.Args...)
		var pid int
		var err error
		if c.Join == nil {
			pid, err = syscall.ForkExec(c.Binary, argv, attr)
		} else {
			thread.Throwaway(func() {
				if err = c.Join(); err == nil {
					pid, err = syscall.ForkExec(c.Binary, argv, attr)
				}
			})
		}
		if err != nil {
			return err
		}
		if h, err = proc.Adopt(pid, pidfd); err != nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // not reaped yet, so the pid is its own
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
		return err
	})
	return h, err
}

// confine sends the configuration and waits for the constructor's answer.
func (p *Process) confine(ctx context.Context, c *Config, root *os.File) error {
	if c.OOMScoreAdj != nil {
		name := "/proc/" + strconv.Itoa(p.Pid) + "/oom_score_adj"
		err := os.WriteFile(name, strconv.AppendInt(nil, int64(*c.OOMScoreAdj), 10), 0)
		if err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	if c.Adopt != nil {
		if err := c.Adopt(p.Pid); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() {
		_ = p.Control.SetDeadline(time.Unix(1, 0)) // wakes the two below; fails only when closed
	})
	err := send(p.Control, c, root)
	if rerr := receive(p.Control); err == nil || !gone(rerr) {
		err = rerr // more telling than that the child would not listen
	}
	if !stop() {
		return fmt.Errorf("the constructor did not answer: does the executable link package confine/boot? %w", ctx.Err())
	}
	return err
}

// gone says whether an error means that the child has closed its end.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// abandon ends a process that could not be confined and says why.
func (p *Process) abandon(why error) error {
	_ = p.Kill() // it may have ended by itself
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	e, err := p.Wait(ctx)
	if gone(why) && err == nil {
		why = fmt.Errorf("ended with %d before it was confined, its standard error may say why: %w", e.Status, errdefs.ErrInternal)
	}
	if err != nil {
		why = errors.Join(why, err)
	}
	return errors.Join(why, p.Close())
}
