package task

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/sandbox/task/taskapi"
)

// How long the end of a container waits for what belongs to it.
const (
	execGrace = 5 * time.Second
	oomGrace  = time.Second
)

// container is a Container and its processes.
type container struct {
	server *Server
	id     string
	bundle string
	impl   Container
	init   *process
	// oom is closed when the container will tell of no more OOM events; nil if it
	// never does.
	oom chan struct{}

	mu sync.Mutex // guards the fields below
	// execs by id; the value is nil while the process is being added.
	execs map[string]*process
	// ending is set when the first process has exited: nothing starts any more.
	ending bool
	frozen taskapi.Status // UNKNOWN, PAUSING or PAUSED
}

func newContainer(s *Server, r *CreateRequest, impl Container) *container {
	c := &container{server: s, id: r.ID, bundle: r.Bundle, impl: impl, execs: map[string]*process{}}
	c.init = newProcess(c, "", impl, r.Stdio)
	// Never 0: a task without a pid has nothing to be killed for containerd, which then
	// waits for ever for the end of an output that a created container may hold
	// (client/task_opts.go, WithProcessKill; client/task.go, Delete).
	c.init.pid = s.options.Pid
	if p, ok := impl.(Pider); ok {
		if pid := p.Pid(); pid != 0 {
			c.init.pid, c.init.early = pid, true
		}
	}
	return c
}

// name names a process in errors.
func (c *container) name(execID string) string {
	if execID == "" {
		return fmt.Sprintf("container %q", c.id)
	}
	return fmt.Sprintf("exec %q of container %q", execID, c.id)
}

// process finds the first process (empty id) or an added one.
func (c *container) process(execID string) (*process, error) {
	if execID == "" {
		return c.init, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.execs[execID]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s: %w", c.name(execID), errdefs.ErrNotFound)
}

// reserve takes an id for a process that is being added.
func (c *container) reserve(execID string) error {
	if err := identifiers.Validate(execID); err != nil {
		return fmt.Errorf("exec id: %w", err)
	}
	if err := c.startable(execID); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.execs[execID]; ok {
		return fmt.Errorf("%s: %w", c.name(execID), errdefs.ErrAlreadyExists)
	}
	c.execs[execID] = nil
	return nil
}

func (c *container) put(execID string, p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p != nil {
		c.execs[execID] = p
		return
	}
	delete(c.execs, execID)
}

// startable says whether a process may be added and started.
func (c *container) startable(execID string) error {
	c.mu.Lock()
	ending, frozen := c.ending, c.frozen
	c.mu.Unlock()
	switch {
	case ending || c.init.ended():
		return fmt.Errorf("%s: the container has exited: %w", c.name(execID), errdefs.ErrFailedPrecondition)
	case frozen != taskapi.Status_UNKNOWN:
		return fmt.Errorf("%s: the container is paused, resume it first: %w", c.name(execID), errdefs.ErrFailedPrecondition)
	}
	return nil
}

// added lists the processes that Exec added.
func (c *container) added() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Collect(maps.Values(c.execs))
	return slices.DeleteFunc(all, func(p *process) bool { return p == nil })
}

func (c *container) setFrozen(s taskapi.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = s
}

func (c *container) frozenStatus() taskapi.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}

// end ends what belongs to a container whose first process has exited, so that its
// exit is the last one told. A process that will not end is left behind.
func (c *container) end(ctx context.Context) {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, execGrace)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range c.added() {
		wg.Go(func() { p.end(ctx) })
	}
	wg.Wait()
	c.setFrozen(taskapi.Status_UNKNOWN)
	if c.oom == nil {
		return
	}
	select {
	case <-c.oom:
	case <-time.After(oomGrace):
		log.G(ctx).Warn("the runtime keeps the container's OOM events open after its exit")
	case <-ctx.Done():
	}
}

// watchOOM publishes the container's OOM events until it has exited.
func (c *container) watchOOM() {
	n, ok := c.impl.(OOMNotifier)
	if !ok {
		return
	}
	c.oom = make(chan struct{})
	events := n.OOM()
	c.server.spawn(func(ctx context.Context) {
		defer close(c.oom)
		for {
			select {
			case _, ok := <-events:
				if !ok {
					return
				}
				c.server.events.push(c.id, topicOOM, &taskapi.TaskOOM{ContainerId: c.id})
			case <-ctx.Done():
				return
			}
		}
	})
}
