package wasmtask

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/engines"
	"blazar/wasmsandboxer/hostapi"
)

// changing is the turn to change limits, until release is called.
func (c *container) changing(ctx context.Context) (release func(), err error) {
	select {
	case c.updating <- struct{}{}:
		return func() { <-c.updating }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Update changes the limits of a running container: the memory limit by the engines
// of its guests, which may refuse it, then CPU limits by the host service. If one is
// refused the other stays as it was.
func (c *container) Update(ctx context.Context, r *specs.LinuxResources, _ map[string]string) error {
	if r == nil {
		return nil
	}
	release, err := c.changing(ctx)
	if err != nil {
		return err
	}
	defer release()
	if c.deleted {
		return fmt.Errorf("container %s: %w", c.id, errdefs.ErrNotFound)
	}
	before := c.limit.Load()
	limit := before
	if r.Memory != nil && r.Memory.Limit != nil {
		limit = uint64(max(0, *r.Memory.Limit))
	}
	cpu, worker := r.CPU, c.rt.hello.Container != ""
	if worker && cpu == nil {
		cpu = &specs.LinuxCPU{} // the host service is asked in any case
	}
	if worker && before != 0 && (limit == 0 || limit > before) {
		// The host service also sets the limit of the worker's cgroup, which is never to
		// be the one that the guest meets first.
		if err := c.limitCPU(ctx, cpu); err != nil {
			return fmt.Errorf("container %s: %w", c.id, err)
		}
		cpu = nil
	}
	if err := c.limitMemory(limit); err != nil {
		return fmt.Errorf("container %s: %w", c.id, err)
	}
	if cpu == nil {
		return nil
	}
	if err := c.limitCPU(ctx, cpu); err != nil {
		return fmt.Errorf("container %s: %w", c.id, errors.Join(err, c.limitMemory(before)))
	}
	return nil
}

// limitMemory sets the limit of every guest, 0 for none. An exec that is about to
// be started takes it from c.limit.
func (c *container) limitMemory(limit uint64) error {
	before := c.limit.Swap(limit)
	if limit == before {
		return nil
	}
	var changed []*process
	for _, p := range c.processes() {
		err := p.limitMemory(limit)
		if err == nil {
			changed = append(changed, p)
			continue
		}
		c.limit.Store(before)
		for _, p := range changed {
			err = errors.Join(err, p.limitMemory(before))
		}
		return err
	}
	return nil
}

// processes are those that may run: the first and the execs.
func (c *container) processes() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []*process{c.process}
	for x := range c.execs {
		all = append(all, x)
	}
	return all
}

// limitMemory sets the limit of one guest unless its instance is about to be closed.
func (p *process) limitMemory(limit uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.freed {
		return nil
	}
	return setMemoryLimit(p, limit)
}

func setMemoryLimit(p *process, limit uint64) error {
	m, ok := p.instance.(engines.MemoryLimiter)
	if !ok {
		return fmt.Errorf("engine %s cannot change the memory limit of a running guest (restart the container): %w",
			p.config.module.Engine, errdefs.ErrNotImplemented)
	}
	return m.SetMemoryLimit(limit)
}

// limitCPU has the host service set the limits, and puts the threads that run into
// the group that they hold in, which there may not have been before.
func (c *container) limitCPU(ctx context.Context, want *specs.LinuxCPU) error {
	q := &hostapi.UpdateRequest{Container: c.id, CPU: hostapi.CPU{CPUs: want.Cpus, Mems: want.Mems}}
	if want.Shares != nil {
		q.CPU.Shares = *want.Shares
	}
	if want.Quota != nil {
		q.CPU.Quota = *want.Quota
	}
	if want.Period != nil {
		q.CPU.Period = *want.Period
	}
	var r hostapi.UpdateReply
	files, err := c.rt.host.Call(ctx, hostapi.MethodUpdate, q, &r)
	if err != nil {
		return err
	}
	s, err := takeStreams(r.Roles, files)
	if err != nil {
		return err
	}
	for _, note := range r.Notes {
		log.G(ctx).WithField("container_id", c.id).Warn(note)
	}
	// A thread that begins from now on enters by itself.
	c.threads.replace(s.threads)
	s.threads = threadFiles{}
	s.close()
	c.usage.each(func(tid int) { err = errors.Join(err, c.threads.move(tid)) })
	return err
}
