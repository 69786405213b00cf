package runctask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"

	"blazar/runcsandboxer/runctask/ctl"
	"blazar/sandbox/task"
)

// lineTimeout is how long a client may take to send its request.
const lineTimeout = 10 * time.Second

// answer answers the one request of a connection.
func (s *Server) answer(ctx context.Context, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(lineTimeout)); err != nil {
		return err
	}
	line, err := ctl.ReadLine(conn)
	if err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	var q ctl.Request
	if err = json.Unmarshal(line, &q); err == nil {
		err = s.do(ctx, q)
	}
	b, merr := json.Marshal(ctl.AnswerOf(err))
	if merr != nil {
		return merr
	}
	if _, werr := conn.Write(append(b, '\n')); werr != nil || err != nil || q.Op != ctl.Connect {
		return werr
	}
	return s.lend(ctx, conn, q.ID)
}

// do does what is asked; of ctl.Connect it only checks whether it may be done.
func (s *Server) do(ctx context.Context, q ctl.Request) error {
	ctx, cancel := context.WithTimeout(ctx, ctl.Timeout)
	defer cancel()
	switch q.Op {
	case ctl.KillPod:
		return s.killPod(ctx, q.Pod)
	case ctl.Create:
		return s.createScoped(ctx, q.Create)
	case ctl.Connect:
		c, ok := s.runtime.get(q.ID)
		if !ok || c.record.Scope == nil {
			return fmt.Errorf("container %q was not made for somebody else: %w", q.ID, errdefs.ErrNotFound)
		}
		return nil
	case ctl.Remove:
		return ignoreNone(s.tasks.Remove(ctx, q.ID))
	case ctl.Kill:
		return ignoreNone(s.tasks.Kill(ctx, q.ID, syscall.SIGKILL))
	case ctl.Update:
		c, ok := s.runtime.get(q.ID)
		if !ok || q.Resources == nil {
			return fmt.Errorf("container %q, limits given: %t: %w", q.ID, q.Resources != nil, errdefs.ErrNotFound)
		}
		return c.Update(ctx, q.Resources, nil)
	case ctl.Ready:
		return nil
	}
	return fmt.Errorf("operation %q: %w", q.Op, errdefs.ErrNotImplemented)
}

// ignoreNone drops the error that says that there is nothing to end.
func ignoreNone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// killPod ends and deletes every container of a pod, at the same time.
func (s *Server) killPod(ctx context.Context, pod string) error {
	if pod == "" {
		return fmt.Errorf("no pod is named: %w", errdefs.ErrInvalidArgument)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards errs
	var errs []error
	for _, c := range s.runtime.all() {
		if c.record.Pod != pod {
			continue
		}
		wg.Go(func() {
			if err := ignoreNone(s.tasks.Remove(ctx, c.record.ID)); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Server) createScoped(ctx context.Context, q *ctl.CreateRequest) error {
	if q == nil {
		return fmt.Errorf("nothing to create: %w", errdefs.ErrInvalidArgument)
	}
	if q.Namespace != "" {
		ctx = namespaces.WithNamespace(ctx, q.Namespace)
	}
	ctx = context.WithValue(ctx, scopeKey{}, &Scope{FIFOs: q.FIFOs})
	return s.tasks.Create(ctx, &task.CreateRequest{ID: q.ID, Bundle: q.Bundle, Rootfs: q.Rootfs, Stdio: q.Stdio})
}

// scopeKey carries the Scope through the task server.
type scopeKey struct{}

// lend makes a connection one of the Task API about one container, until it ends.
func (s *Server) lend(ctx context.Context, conn net.Conn, id string) error {
	rpc, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	s.tasks.RegisterContainer(rpc, id)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &single{addr: conn.LocalAddr(), conns: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conns <- &closing{Conn: conn, closed: cancel}
	context.AfterFunc(ctx, func() { _ = rpc.Close() }) // closes l and conn
	if err := rpc.Serve(ctx, l); !errors.Is(err, ttrpc.ErrServerClosed) && ctx.Err() == nil {
		return err
	}
	return nil
}

// single is a listener of one connection.
type single struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *single) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *single) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *single) Addr() net.Addr { return l.addr }

// closing tells when a connection is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c *closing) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
