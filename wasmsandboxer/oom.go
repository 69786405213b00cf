package wasmsandboxer

import (
	"context"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/log"
)

// watchOOM notes that the kernel found the cgroup out of memory.
func (p *pod) watchOOM() {
	if p.group == nil {
		return
	}
	events, err := p.group.OOM(p.ctx)
	if err != nil {
		log.G(p.ctx).WithError(err).Warn("cannot watch the cgroup for lack of memory")
		return
	}
	for range events {
		log.G(p.ctx).Warn(p.cgroupName() + " is out of memory")
		p.mu.Lock()
		p.oom = true
		p.mu.Unlock()
	}
}

// oomKilled says whether the kernel has killed wasm-task for want of memory: also if
// the event, which comes on a way of its own, was not seen yet.
func (p *pod) oomKilled() bool {
	p.mu.Lock()
	g, oom := p.group, p.oom
	p.mu.Unlock()
	if g == nil || oom {
		return oom
	}
	m, err := g.Metrics(context.Background()) // reads some files
	if err != nil {
		return false // the group is gone, or never was
	}
	switch m := m.(type) {
	case *cgroup1.Metrics:
		oom = m.GetMemoryOomControl().GetOomKill() > 0
	case *cgroup2.Metrics:
		oom = m.GetMemoryEvents().GetOomKill() > 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.oom = p.oom || oom
	return p.oom
}
