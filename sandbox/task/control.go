package task

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"blazar/sandbox/task/taskapi"
)

// maxSignal is the highest signal of Linux.
const maxSignal = 64

// kill sends a signal, in every phase with the answer that containerd expects.
func (p *process) kill(ctx context.Context, signal syscall.Signal, all bool) error {
	if signal < 0 || signal > maxSignal {
		return fmt.Errorf("%s: no such signal %d: %w", p.name(), signal, errdefs.ErrInvalidArgument)
	}
	for {
		p.mu.Lock()
		now, settled := p.phase, p.settled
		switch {
		case p.early && now < stopped:
			now = running
		case now == created:
			err := p.killCreated(signal)
			p.mu.Unlock()
			if err == nil {
				p.letGo(ctx)
			}
			return err
		case now == starting && signal == syscall.SIGKILL:
			p.killed = true
			p.stop()
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		switch now {
		case starting:
			select {
			case <-settled:
			case <-ctx.Done():
				return fmt.Errorf("%s is still starting: %w", p.name(), ctx.Err())
			}
		case running:
			return p.send(ctx, signal, all)
		default:
			return fmt.Errorf("%s: process already finished: %w", p.name(), errdefs.ErrNotFound)
		}
	}
}

// send passes a signal to the runtime.
func (p *process) send(ctx context.Context, signal syscall.Signal, all bool) error {
	if signal == 0 {
		return nil
	}
	all = all && p.execID == ""
	if err := guard(ctx, "kill", func() error { return p.impl.Kill(ctx, signal, all) }); err != nil {
		return fmt.Errorf("kill %s: %w", p.name(), err)
	}
	return nil
}

// killCreated ends a container of which nothing runs yet. The caller holds p.mu.
func (p *process) killCreated(signal syscall.Signal) error {
	switch {
	case p.execID != "", signal != syscall.SIGKILL && signal != syscall.SIGTERM:
		return p.refuse("signal", created)
	}
	p.phase = stopped
	p.setExit(Exit{Status: statusOf(signal)})
	p.container.server.events.push(p.container.id, topicExit, &taskapi.TaskExit{
		ContainerId: p.container.id,
		Id:          p.id(),
		ExitStatus:  p.exit.Status,
		ExitedAt:    timestamppb.New(p.exit.At),
	})
	return nil
}

// letGo lets the runtime close what it holds of a container that will not be started.
// containerd's recovery kills a container that it finds created, and deletes it only
// when the readers of its output have seen the end (client/task.go, Delete).
func (p *process) letGo(ctx context.Context) {
	err := guard(ctx, "kill", func() error { return p.impl.Kill(ctx, syscall.SIGKILL, false) })
	if err != nil && !errdefs.IsNotFound(err) {
		log.G(ctx).WithError(err).WithField("container_id", p.container.id).Warn("a container that was never started keeps its stdio")
	}
}

// pause freezes a running container.
func (c *container) pause(ctx context.Context) error {
	pauser, ok := c.impl.(Pauser)
	if !ok {
		return c.server.notImplemented("pause")
	}
	if err := c.init.take(ctx); err != nil {
		return err
	}
	defer c.init.release()
	if now, _ := c.init.now(); now != running || c.frozenStatus() != taskapi.Status_UNKNOWN {
		return fmt.Errorf("cannot pause container %q, it is %s: %w", c.id, c.status(c.init), errdefs.ErrFailedPrecondition)
	}
	c.setFrozen(taskapi.Status_PAUSING)
	if err := guard(ctx, "pause", func() error { return pauser.Pause(ctx) }); err != nil {
		c.setFrozen(taskapi.Status_UNKNOWN)
		return fmt.Errorf("pause container %q: %w", c.id, err)
	}
	c.thawed(taskapi.Status_PAUSED, topicPaused)
	return nil
}

// resume thaws a paused container.
func (c *container) resume(ctx context.Context) error {
	pauser, ok := c.impl.(Pauser)
	if !ok {
		return c.server.notImplemented("resume")
	}
	if err := c.init.take(ctx); err != nil {
		return err
	}
	defer c.init.release()
	if now, _ := c.init.now(); now != running || c.frozenStatus() != taskapi.Status_PAUSED {
		return fmt.Errorf("cannot resume container %q, it is %s: %w", c.id, c.status(c.init), errdefs.ErrFailedPrecondition)
	}
	if err := guard(ctx, "resume", func() error { return pauser.Resume(ctx) }); err != nil {
		return fmt.Errorf("resume container %q: %w", c.id, err)
	}
	c.thawed(taskapi.Status_UNKNOWN, topicResumed)
	return nil
}

// thawed records that a container was paused or resumed, unless it has ended.
func (c *container) thawed(now taskapi.Status, topic topic) {
	c.init.mu.Lock()
	defer c.init.mu.Unlock()
	if c.init.phase != running {
		return
	}
	c.setFrozen(now)
	if topic == topicPaused {
		c.server.events.push(c.id, topic, &taskapi.TaskPaused{ContainerId: c.id})
		return
	}
	c.server.events.push(c.id, topic, &taskapi.TaskResumed{ContainerId: c.id})
}

// live refuses a call on a container that has exited.
func (c *container) live(verb string) error {
	if now, _ := c.init.now(); now >= stopped {
		return c.init.refuse(verb, now)
	}
	return nil
}

// update changes limits.
func (c *container) update(ctx context.Context, resources *anypb.Any, annotations map[string]string) error {
	u, ok := c.impl.(Updater)
	if !ok {
		return c.server.notImplemented("update of limits")
	}
	if err := c.live("update"); err != nil {
		return err
	}
	r := &specs.LinuxResources{}
	if resources != nil { // there may be annotations only
		if err := decode(resources, "LinuxResources", r); err != nil {
			return err
		}
	}
	return guard(ctx, "update", func() error { return u.Update(ctx, r, annotations) })
}

// checkpoint writes the container's state.
func (c *container) checkpoint(ctx context.Context, path string, options *anypb.Any) error {
	p, ok := c.impl.(Checkpointer)
	if !ok {
		return c.server.notImplemented("checkpoint")
	}
	if now, _ := c.init.now(); now != running {
		return c.init.refuse("checkpoint", now)
	}
	err := guard(ctx, "checkpoint", func() error { return p.Checkpoint(ctx, path, options) })
	if err != nil {
		return fmt.Errorf("checkpoint container %q: %w", c.id, err)
	}
	c.server.events.push(c.id, topicCheckpointed, &taskapi.TaskCheckpointed{ContainerId: c.id, Checkpoint: path})
	return nil
}

// resize changes the size of the process's terminal.
func (p *process) resize(ctx context.Context, width, height uint32) error {
	if !p.stdio.Terminal {
		return fmt.Errorf("%s has no terminal: %w", p.name(), errdefs.ErrFailedPrecondition)
	}
	r, ok := p.impl.(Resizer)
	if !ok {
		return p.container.server.notImplemented("resize of a terminal")
	}
	if now, _ := p.now(); now != running {
		return p.refuse("resize the terminal of", now)
	}
	return guard(ctx, "resize", func() error { return r.Resize(ctx, width, height) })
}

// closeIO ends the process's input; nothing is to be done without one, or at the
// process's end.
func (p *process) closeIO(ctx context.Context) error {
	if p.stdio.Stdin == "" || p.ended() {
		return nil
	}
	s, ok := p.impl.(StdinCloser)
	if !ok {
		return p.container.server.notImplemented("closing of stdin")
	}
	return guard(ctx, "close stdin", func() error { return s.CloseStdin(ctx) })
}

// decode reads one of the runtime specification's types, which travel as JSON.
func decode(a *anypb.Any, name string, to any) error {
	if a == nil {
		return fmt.Errorf("no %s in the request: %w", name, errdefs.ErrInvalidArgument)
	}
	if url := a.GetTypeUrl(); !strings.HasSuffix(url, "/"+name) {
		return fmt.Errorf("%q where a %s was expected: %w", url, name, errdefs.ErrInvalidArgument)
	}
	if err := json.Unmarshal(a.GetValue(), to); err != nil {
		return fmt.Errorf("decode %s: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	return nil
}
