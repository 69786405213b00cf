package task

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
)

// Recovered is a container that an earlier server made and that lives on, or has
// exited and was not deleted.
type Recovered struct {
	ID, Bundle string
	Stdio      Stdio
	Container  Container
	// Pid that Start returned; 0 for a container that was not started.
	Pid uint32
	// Execs are the added processes that were started.
	Execs []RecoveredExec
}

// RecoveredExec is an added process of a Recovered container.
type RecoveredExec struct {
	ID      string
	Stdio   Stdio
	Process Process
	Pid     uint32
}

// Recover takes a container over, before or while requests are served. Its earlier
// events are not published again; an exit that happened meanwhile is.
func (s *Server) Recover(r Recovered) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.work.Done()
	if r.Container == nil {
		return fmt.Errorf("recovered container %q: nothing to serve: %w", r.ID, errdefs.ErrInvalidArgument)
	}
	if err := s.reserve(r.ID); err != nil {
		return err
	}
	c := newContainer(s, &CreateRequest{ID: r.ID, Bundle: r.Bundle, Stdio: r.Stdio}, r.Container)
	var errs []error
	for _, e := range r.Execs {
		if err := identifiers.Validate(e.ID); err != nil {
			errs = append(errs, fmt.Errorf("exec id of container %q: %w", r.ID, err))
			continue
		}
		p := newProcess(c, e.ID, e.Process, e.Stdio)
		p.resume(e.Pid)
		c.put(e.ID, p)
	}
	c.watchOOM()
	switch {
	case r.Pid != 0:
		c.init.resume(r.Pid)
	case c.init.early:
		c.init.watch()
	}
	s.put(r.ID, c)
	return errors.Join(errs...)
}

// resume makes a new process one that was started.
func (p *process) resume(pid uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.pid = running, pid
	if !p.early {
		p.watch()
	}
}

// Remove ends a container, whatever state it is in, and deletes it, as containerd would
// have; for what containerd has given up. errdefs.ErrNotFound if there is none.
func (s *Server) Remove(ctx context.Context, id string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.work.Done()
	c, err := s.container(id)
	if err != nil {
		return err
	}
	if err := c.init.kill(ctx, syscall.SIGKILL, true); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if _, err := c.init.wait(ctx); err != nil {
		return err
	}
	_, _, err = c.init.delete(ctx)
	return err
}

// Kill sends a signal to all processes of a container, for callers in this process.
func (s *Server) Kill(ctx context.Context, id string, signal syscall.Signal) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.work.Done()
	c, err := s.container(id)
	if err != nil {
		return err
	}
	return c.init.kill(ctx, signal, true)
}

// Create makes a container as the Task API does, for callers in this process.
func (s *Server) Create(ctx context.Context, r *CreateRequest) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.work.Done()
	_, err := s.create(ctx, r)
	return err
}
