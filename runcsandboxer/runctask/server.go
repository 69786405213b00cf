package runctask

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"

	"blazar/runcsandboxer/runctask/ctl"
	"blazar/runcsandboxer/runctask/orphans"
	"blazar/sandbox/task"
)

// closeTimeout bounds the end of a Server.
const closeTimeout = 10 * time.Second

// Socket is where the Task API is served in a state directory.
func Socket(state string) string { return filepath.Join(state, "taskd.sock") }

// Server is the task server of a node: the Task API and the daemon's socket over one
// Runtime. There is one per state directory.
type Server struct {
	runtime *Runtime
	orphans *orphans.Reaper
	tasks   *task.Server
	lock    *os.File
}

// NewServer recovers the containers of an earlier server. Serve or Close ends it.
func NewServer(ctx context.Context, c Config, events Forwarder) (_ *Server, err error) {
	s := &Server{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.MkdirAll(c.State, 0o711); err != nil {
		return nil, err
	}
	if s.lock, err = lock(filepath.Join(c.State, "taskd.lock")); err != nil {
		return nil, err
	}
	if s.orphans, err = orphans.New(); err != nil {
		return nil, err
	}
	c.Orphans = s.orphans
	if s.runtime, err = New(c); err != nil {
		return nil, err
	}
	s.tasks = task.NewServer(s.runtime, task.Options{Runtime: "runc", Publisher: s.runtime.Publisher(events)})
	if err := s.runtime.Recover(ctx, s.tasks.Recover); err != nil {
		return nil, fmt.Errorf("recover containers: %w", err)
	}
	return s, nil
}

// lock makes sure that there is one server.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: another task server runs: %w: %w", path, err, errdefs.ErrAlreadyExists), f.Close())
	}
	return f, nil
}

// Serve answers until ctx ends, calls ready once it does, and closes the server.
// Containers run on.
func (s *Server) Serve(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	beside.Go(func() { s.orphans.Run(ctx, children) })
	beside.Go(func() { s.runtime.Sweep(ctx, s.tasks.Remove) })

	rpc, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	s.tasks.Register(rpc)
	tasks, err := listen(ctx, Socket(s.runtime.config.State))
	if err != nil {
		return err
	}
	control, err := listen(ctx, ctl.Socket(s.runtime.config.State))
	if err != nil {
		return errors.Join(err, tasks.Close())
	}
	beside.Go(func() { s.control(ctx, control) })
	context.AfterFunc(ctx, func() { _ = errors.Join(control.Close(), rpc.Close()) }) // their users see it
	ready()
	if err := rpc.Serve(ctx, tasks); !errors.Is(err, ttrpc.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("task API: %w", err)
	}
	return nil
}

// listen binds a unix socket that only root may use. The lock says that whoever made
// one that is there is gone.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// Before bind, this is the mode that the file will have.
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(cerr, err)
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket %s (107 bytes are the most): %w", path, err)
	}
	return l, nil
}

// Close ends everything but the containers. Idempotent.
func (s *Server) Close() error {
	var errs []error
	if s.tasks != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		errs = append(errs, s.tasks.Close(ctx))
		s.tasks = nil
	}
	if s.runtime != nil {
		errs = append(errs, s.runtime.Close())
		s.runtime = nil
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// control serves the daemon's socket.
func (s *Server) control(ctx context.Context, l net.Listener) {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil {
				log.G(ctx).WithError(err).Error("the daemon cannot ask the task server any more")
			}
			return
		}
		conns.Go(func() {
			defer func() { _ = conn.Close() }() // the other side sees it
			if err := s.answer(ctx, conn); err != nil && ctx.Err() == nil {
				log.G(ctx).WithError(err).Warn("a request of the daemon")
			}
		})
	}
}
