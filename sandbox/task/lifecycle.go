package task

import (
	"context"
	"fmt"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"google.golang.org/protobuf/types/known/timestamppb"

	"blazar/sandbox/task/taskapi"
)

// create makes a container. When ctx ends meanwhile, what was made is deleted.
func (s *Server) create(ctx context.Context, r *CreateRequest) (*container, error) {
	if err := s.reserve(r.ID); err != nil {
		return nil, err
	}
	var impl Container
	err := guard(ctx, "create", func() (err error) {
		impl, err = s.runtime.Create(ctx, r)
		return err
	})
	if err == nil {
		err = s.orphaned(ctx, impl)
	}
	if err != nil {
		s.put(r.ID, nil)
		return nil, fmt.Errorf("create container %q: %w", r.ID, err)
	}
	c := newContainer(s, r, impl)
	s.events.push(c.id, topicCreate, &taskapi.TaskCreate{
		ContainerId: c.id,
		Bundle:      c.bundle,
		Rootfs:      mountsToProto(r.Rootfs),
		Io: &taskapi.TaskIO{
			Stdin:    r.Stdio.Stdin,
			Stdout:   r.Stdio.Stdout,
			Stderr:   r.Stdio.Stderr,
			Terminal: r.Stdio.Terminal,
		},
		Checkpoint: r.Checkpoint,
		Pid:        c.init.pid,
	})
	c.watchOOM()
	if c.init.early {
		c.init.watch()
	}
	s.put(r.ID, c)
	return c, nil
}

// orphaned deletes what was made for a caller that went away meanwhile.
func (s *Server) orphaned(ctx context.Context, p Process) error {
	cause := ctx.Err()
	if cause == nil {
		return nil
	}
	ctx, cancel := s.detach(ctx)
	defer cancel()
	err := guard(ctx, "delete", func() error { return p.Delete(ctx) })
	if err != nil {
		log.G(ctx).WithError(err).Error("cannot delete what was made for a caller that went away")
	}
	return cause
}

// exec adds a process to a container.
func (c *container) exec(ctx context.Context, r *ExecRequest) error {
	if err := c.reserve(r.ID); err != nil {
		return err
	}
	var impl Process
	err := guard(ctx, "exec", func() (err error) {
		impl, err = c.impl.Exec(ctx, r)
		return err
	})
	if err == nil {
		err = c.server.orphaned(ctx, impl)
	}
	if err != nil {
		c.put(r.ID, nil)
		return fmt.Errorf("%s: %w", c.name(r.ID), err)
	}
	c.server.events.push(c.id, topicExecAdded, &taskapi.TaskExecAdded{ContainerId: c.id, ExecId: r.ID})
	c.put(r.ID, newProcess(c, r.ID, impl, r.Stdio))
	return nil
}

// start runs the process.
func (p *process) start(ctx context.Context) (uint32, error) {
	if err := p.take(ctx); err != nil {
		return 0, err
	}
	defer p.release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.beginStart(cancel); err != nil {
		return 0, err
	}
	var pid uint32
	err := guard(ctx, "start", func() (err error) {
		pid, err = p.impl.Start(ctx)
		return err
	})
	if p.finishStart(pid, err) {
		ctx, cancel := p.container.server.detach(ctx)
		defer cancel()
		if kerr := p.send(ctx, syscall.SIGKILL, p.execID == ""); kerr != nil && !errdefs.IsNotFound(kerr) {
			log.G(ctx).WithError(kerr).Error("cannot kill a process that was killed while it started")
		}
	}
	if err != nil {
		if now, _ := p.now(); now == stopped {
			ctx, cancel := p.container.server.detach(ctx)
			defer cancel()
			p.letGo(ctx)
		}
		return 0, fmt.Errorf("start %s: %w", p.name(), err)
	}
	return pid, nil
}

func (p *process) beginStart(stop context.CancelFunc) error {
	if p.execID != "" {
		if now, _ := p.container.init.now(); now == created || now == starting {
			return fmt.Errorf("%s: the container is not running: %w", p.name(), errdefs.ErrFailedPrecondition)
		}
		if err := p.container.startable(p.execID); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != created {
		return p.refuse("start", p.phase)
	}
	p.phase, p.stop, p.settled = starting, stop, make(chan struct{})
	return nil
}

// finishStart records what came of Start, and says whether the process must be
// killed: somebody asked for it meanwhile, or its container has ended.
func (p *process) finishStart(pid uint32, err error) (kill bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(p.settled)
	p.stop = nil
	if err != nil {
		p.phase = created
		if p.early {
			return p.killed
		}
		p.phase = stopped
		status := uint32(statusStart)
		if p.killed {
			status = statusOf(syscall.SIGKILL)
		}
		p.setExit(Exit{Status: status})
		return false
	}
	p.phase, p.pid = running, pid
	p.told(pid)
	if !p.early {
		p.watch()
	}
	if p.execID != "" && p.container.startable(p.execID) != nil {
		return true
	}
	return p.killed
}

// told tells of a start. The caller holds p.mu, so that nothing comes before it.
func (p *process) told(pid uint32) {
	id, events := p.container.id, p.container.server.events
	if p.execID == "" {
		events.push(id, topicStart, &taskapi.TaskStart{ContainerId: id, Pid: pid})
		return
	}
	events.push(id, topicExecStarted, &taskapi.TaskExecStarted{ContainerId: id, ExecId: p.execID, Pid: pid})
}

// delete frees a process that has exited or was never started. Once begun it goes
// on when the caller goes away.
func (p *process) delete(ctx context.Context) (Exit, uint32, error) {
	if err := p.take(ctx); err != nil {
		return Exit{}, 0, err
	}
	defer p.release()
	switch now, _ := p.now(); now {
	case created, stopped:
	default:
		return Exit{}, 0, p.refuse("delete", now)
	}
	ctx, cancel := p.container.server.detach(ctx)
	defer cancel()
	if p.execID == "" {
		for _, e := range p.container.added() {
			if _, _, err := e.delete(ctx); err != nil && !errdefs.IsNotFound(err) {
				return Exit{}, 0, err
			}
		}
	}
	if err := guard(ctx, "delete", func() error { return p.impl.Delete(ctx) }); err != nil {
		return Exit{}, 0, fmt.Errorf("delete %s: %w", p.name(), err)
	}
	exit, pid := p.finishDelete()
	if p.execID == "" {
		p.container.server.remove(p.container.id)
	} else {
		p.container.put(p.execID, nil)
	}
	return exit, pid, nil
}

func (p *process) finishDelete() (Exit, uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == created {
		p.setExit(Exit{Status: statusOf(syscall.SIGKILL)})
	}
	p.phase = deleted
	if p.unwatch != nil {
		p.unwatch()
	}
	if p.execID == "" {
		p.container.server.events.push(p.container.id, topicDelete, &taskapi.TaskDelete{
			ContainerId: p.container.id,
			Pid:         p.pid,
			ExitStatus:  p.exit.Status,
			ExitedAt:    timestamppb.New(p.exit.At),
		})
	}
	return p.exit, p.pid
}

// statusOf is the exit status of a process that a signal ended.
func statusOf(s syscall.Signal) uint32 { return 128 + uint32(s) }
