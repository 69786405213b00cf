package runcsandboxer

import (
	"context"
	"fmt"
	"maps"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"

	"blazar/internal/cgroup"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox"
)

var (
	_ sandbox.Meter     = (*pod)(nil)
	_ sandbox.Describer = (*pod)(nil)
	_ sandbox.Updater   = (*pod)(nil)
)

// Metrics are those of the cgroup that the pod's containers are in: the parent that
// CRI names, as containerd's own sandboxer reads it. Before the first container there
// may be none, and nothing was used.
func (p *pod) Metrics(ctx context.Context) (proto.Message, error) {
	g, err := p.whole()
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, fmt.Errorf("the pod has no cgroup: %w", errdefs.ErrFailedPrecondition)
	}
	m, err := g.Metrics(ctx)
	if !errdefs.IsNotFound(err) {
		return m, err
	}
	if g.Mode() == cgroup.V2 {
		return &cgroup2.Metrics{CPU: &cgroup2.CPUStat{}, Memory: &cgroup2.MemoryStat{}, Pids: &cgroup2.PidsStat{}}, nil
	}
	return &cgroup1.Metrics{
		CPU:    &cgroup1.CPUStat{Usage: &cgroup1.CPUUsage{}, Throttling: &cgroup1.Throttle{}},
		Memory: &cgroup1.MemoryStat{Usage: &cgroup1.MemoryEntry{}}, Pids: &cgroup1.PidsStat{},
	}, nil
}

// Describe says what a person who debugs the pod wants to know.
func (p *pod) Describe(context.Context) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	paths := map[string]string{"task_socket": p.s.config.TaskSocket, "etc": p.path(etcName)}
	m := map[string]any{"kind": Kind, "engine": "runc, by blazar taskd", "paths": paths}
	if !p.plan.hostIPC {
		paths["shm"] = p.path(shmName)
	}
	if p.parent() != "" {
		m["cgroup"] = p.parent()
	}
	if p.group != nil {
		if p.parent() == "" {
			m["cgroup"] = p.group.Path()
		}
		if missing := p.group.Missing(); len(missing) > 0 {
			m["cgroup_missing"] = missing
		}
	}
	if p.record.Reaper != nil {
		m["reaper"] = p.record.Reaper.Pid
		paths["pod_reaper"] = p.s.config.Reaper
	}
	if p.record.Started {
		m["namespaces"] = p.file().Namespaces
	}
	if len(p.plan.sysctls) > 0 {
		set := map[string]string{}
		for _, s := range p.plan.sysctls {
			set[s.name] = s.value
		}
		m["sysctls"] = maps.Clone(set)
	}
	if all, err := podfile.Containers(p.r.Dir); err == nil && len(all) > 0 {
		m["containers"] = all
	}
	if p.exit != nil && p.exit.Reason != "" {
		m["reason"] = p.exit.Reason
	}
	return m
}

// Update changes the limits of the group that the daemon has made for the pod. One
// that CRI names is the kubelet's to limit.
func (p *pod) Update(ctx context.Context, r *sandbox.Request) error {
	p.mu.Lock()
	p.linux = r.Config.GetLinux()
	g, limits := p.group, resources(p.linux)
	p.mu.Unlock()
	if g == nil || limits == nil || p.parent() != "" {
		return nil
	}
	return g.Update(ctx, limits)
}
