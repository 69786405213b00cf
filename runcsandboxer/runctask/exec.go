package runctask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"
	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/proc"
	"blazar/sandbox/task"
)

// added is a process that Exec added to a container.
type added struct {
	process
	c    *container
	id   string
	spec *specs.Process
}

var (
	_ task.Process     = (*added)(nil)
	_ task.Resizer     = (*added)(nil)
	_ task.StdinCloser = (*added)(nil)
)

// Exec prepares a further process; the runtime is called by its Start.
func (c *container) Exec(_ context.Context, q *task.ExecRequest) (task.Process, error) {
	if err := identifiers.Validate(q.ID); err != nil {
		return nil, fmt.Errorf("exec id: %w", err)
	}
	spec := *q.Process
	if scope := c.record.Scope; scope != nil {
		own, err := scope.exec(c.record.Bundle, q)
		if err != nil {
			return nil, err
		}
		spec = *own
	}
	spec.Terminal = q.Stdio.Terminal
	return c.added(q.ID, q.Stdio, &spec), nil
}

func (c *container) added(id string, s task.Stdio, spec *specs.Process) *added {
	e := &added{c: c, id: id, spec: spec}
	e.process = process{name: fmt.Sprintf("exec %.20s of %s", id, c.name), stdio: s}
	return e
}

func (e *added) pidFile() string { return filepath.Join(e.c.dir, "pid-"+e.id) }

// Start has the runtime run the process.
func (e *added) Start(ctx context.Context) (uint32, error) {
	if _, err := e.c.held(); err != nil {
		return 0, err // the container's own process comes first
	}
	h, err := e.launch(ctx, e.c, e.pidFile(), func(ctx context.Context, io runc.IO, tty runc.ConsoleSocket) error {
		return e.c.call(ctx, "exec", func(ctx context.Context, r *runc.Runc) error {
			return r.Exec(ctx, e.c.record.ID, *e.spec, &runc.ExecOpts{
				IO: io, ConsoleSocket: tty, PidFile: e.pidFile(), Detach: true, LogFile: r.Log,
			})
		})
	})
	if err != nil {
		return 0, errors.Join(err, e.undo(ctx))
	}
	e.spec = nil
	ref := h.Ref()
	err = e.c.change(func(r *record) {
		if r.Execs == nil {
			r.Execs = map[string]execRecord{}
		}
		r.Execs[e.id] = execRecord{Ref: ref, Stdio: e.stdio}
	})
	if err != nil {
		log.G(ctx).WithError(err).Warn("a restarted task server would not know the process")
	}
	return uint32(ref.Pid), nil
}

// undo ends a process that the runtime began before it was killed.
func (e *added) undo(ctx context.Context) error {
	ctx, cancel := e.c.detach(ctx)
	defer cancel()
	ref, err := readPid(e.pidFile())
	if errors.Is(err, os.ErrNotExist) || errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := proc.Open(ref)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }() // its end is waited for
	if err := h.Signal(syscall.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	_, err = h.Wait(ctx)
	return err
}

// Wait waits for the process.
func (e *added) Wait(ctx context.Context) (task.Exit, error) {
	exit, err := e.ended(ctx)
	if err != nil {
		return exit, err
	}
	return e.settle(exit), nil
}

// Kill sends a signal.
func (e *added) Kill(_ context.Context, s syscall.Signal, _ bool) error { return e.signal(s) }

// Delete frees what is held of the process.
func (e *added) Delete(ctx context.Context) error {
	if err := e.release(); err != nil {
		log.G(ctx).WithError(err).Warnf("%s is deleted", e.name)
	}
	if err := os.Remove(e.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return e.c.change(func(r *record) { delete(r.Execs, e.id) })
}
