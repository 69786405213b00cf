package runcsandboxer

import (
	"context"
	"fmt"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/runcsandboxer/podfile"
)

// reaperName is the group of the reaper in a pod's own group: with cgroup v2 a group
// with others below it holds no process.
const reaperName = "reaper"

// parent is the cgroup parent that CRI names; empty if it names none.
func (p *pod) parent() string { return p.r.Config.GetLinux().GetCgroupParent() }

// containers says where the cgroups of the containers are: where CRI wants them,
// below the parent that it names, which a kubelet limits and measures. Below a group
// of the pod's own where CRI names none.
func (p *pod) containers() podfile.Cgroup {
	c := podfile.Cgroup{Systemd: strings.HasSuffix(path.Base(p.parent()), ".slice")}
	if p.parent() == "" {
		c.Below = p.group.Path()
	}
	return c
}

// makeGroup makes a group where the pod needs one: for itself where CRI names no
// parent, for the reaper, or to have the parent made, and removed again.
func (p *pod) makeGroup(ctx context.Context) error {
	if p.of != nil {
		return p.makeHalfGroup(ctx)
	}
	parent := p.parent()
	var limits *specs.LinuxResources
	switch {
	case parent == "":
		parent, limits = p.s.config.CgroupParent, resources(p.linux)
	case !p.plan.sharePID:
		whole, err := cgroup.Parent(parent)
		if err != nil {
			return err
		}
		if whole.Exists() {
			return nil
		}
	}
	g, err := cgroup.Create(ctx, parent, p.r.ID, limits)
	if err != nil {
		return fmt.Errorf("cgroup of the pod: %w", err)
	}
	return p.keepGroup(ctx, g)
}

func (p *pod) keepGroup(ctx context.Context, g *cgroup.Group) error {
	state := g.State()
	p.mu.Lock()
	p.group = g
	p.record.Cgroup = &state
	rec := p.record
	p.mu.Unlock()
	return p.r.Save(ctx, rec)
}

// reaperGroup is the group that the reaper is born in; nil if there is none.
func (p *pod) reaperGroup(ctx context.Context) (*cgroup.Group, error) {
	if !p.plan.sharePID {
		return nil, nil
	}
	if p.of != nil {
		return p.of.Group, nil
	}
	if p.parent() != "" {
		return p.group, nil
	}
	return cgroup.Create(ctx, p.group.Path(), reaperName, nil) // goes with the pod's own
}

// whole is the group that has all of the pod in it, and perhaps others: what a parent
// of CRI's holds is up to CRI.
func (p *pod) whole() (*cgroup.Group, error) {
	if p.parent() == "" {
		return p.group, nil
	}
	return cgroup.Parent(p.parent())
}

// resources are the limits of a pod's own group; nil without any.
func resources(l *cri.LinuxPodSandboxConfig) *specs.LinuxResources {
	r, over := l.GetResources(), l.GetOverhead()
	if r == nil {
		return nil
	}
	out := &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: r.GetCpusetCpus(), Mems: r.GetCpusetMems()}}
	if m := r.GetMemoryLimitInBytes(); m > 0 {
		m += max(0, over.GetMemoryLimitInBytes())
		out.Memory = &specs.LinuxMemory{Limit: &m}
	}
	if n := r.GetCpuShares(); n > 0 {
		shares := uint64(n)
		out.CPU.Shares = &shares
	}
	if quota, period := r.GetCpuQuota(), r.GetCpuPeriod(); quota > 0 && period > 0 {
		unsigned := uint64(period)
		out.CPU.Quota, out.CPU.Period = &quota, &unsigned
	}
	return out
}

// halfName is the group of the Linux containers of another kind's pod.
const halfName = "linux"

// makeHalfGroup makes a group for the Linux containers of another kind's pod where CRI
// names no place for them: within the pod's own group where that can be.
func (p *pod) makeHalfGroup(ctx context.Context) error {
	if p.parent() != "" {
		return nil
	}
	g, err := p.of.Group.Part(ctx, halfName, nil)
	if err != nil {
		return fmt.Errorf("cgroup of the pod's Linux containers: %w", err)
	}
	return p.keepGroup(ctx, g)
}
