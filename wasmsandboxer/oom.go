package wasmsandboxer

import (
	"context"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
)

// oomKilled says whether the kernel has killed wasm-task for want of memory, as the counters
// of the cgroup tell: to be told at once would cost each pod three goroutines.
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
