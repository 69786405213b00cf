package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/sandbox"
	"blazar/wasmsandboxer/podspec"
)

var (
	_ sandbox.Meter     = (*pod)(nil)
	_ sandbox.Describer = (*pod)(nil)
	_ sandbox.Updater   = (*pod)(nil)
)

// Metrics are those of the pod's cgroup; with Linux containers, of that above it. What a
// prepared process had before it was the pod's, a megabyte, stays with those that wait.
func (p *pod) Metrics(ctx context.Context) (proto.Message, error) {
	p.mu.Lock()
	g, settled := p.group, p.settled
	p.mu.Unlock()
	if settled != nil {
		if err := p.isSettled(ctx); err != nil {
			return nil, err
		}
	}
	if g == nil {
		return nil, fmt.Errorf("the pod has no cgroup: %w", errdefs.ErrFailedPrecondition)
	}
	whole, err := p.whole()
	if err != nil {
		return nil, err
	}
	if whole != nil {
		g = whole
	}
	return g.Metrics(ctx)
}

// Describe says what a person who debugs the pod wants to know.
func (p *pod) Describe(context.Context) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string]any{
		"kind": Kind, "uid": p.record.UID, "engine": p.engine(),
		"engines": p.s.config.Node.Engines.Names(),
		"paths": map[string]string{
			"root": p.path(rootName), "stderr": p.path(stderrName), "wasm_task": p.s.config.Binary,
			"task_socket": p.socket(taskSocket), "host_socket": p.socket(hostSocket),
		},
	}
	if p.record.Process != nil {
		m["pid"] = p.record.Process.Pid
	}
	switch {
	case p.record.Prepared != "" && p.record.Cold == "":
		m["start"] = "prepared"
		m["netns_of_pid"] = "an empty one: its sockets are made in the pod's by blazar serve"
	default:
		m["start"] = "cold: " + p.record.Cold
	}
	if p.r.NetNS != "" {
		m["netns"] = p.r.NetNS
	}
	if p.group != nil {
		m["cgroup"] = p.group.Path()
		if missing := p.group.Missing(); len(missing) > 0 {
			m["cgroup_missing"] = missing
		}
	}
	if p.service != nil {
		m["containers"] = p.service.History()
	}
	if r := p.resources(); r != nil {
		m["limits"] = r
	}
	if len(p.workers) > 0 {
		all := map[string]any{}
		for id, w := range p.workers {
			all[id] = w.describeWorker()
		}
		m["workers"] = all
	}
	return m
}

// engine is the engine of containers that choose none, and why; what each container
// got is with the containers.
func (p *pod) engine() string {
	node := p.s.config.Node
	c := podspec.Container{Pod: p.r.Annotations, RuntimeHandler: p.r.RuntimeHandler}
	choice, err := c.Engine(node.DefaultEngine, node.Possible(p.record.WasmEdge))
	if err != nil {
		return "none: " + err.Error()
	}
	return choice.Engine + " (" + choice.Reason + ")"
}

// Update changes the limits of the pod's cgroup, and then those of its containers as
// far as they hang on it.
func (p *pod) Update(ctx context.Context, r *sandbox.Request) error {
	p.mu.Lock()
	p.linux = r.Config.GetLinux()
	p.mu.Unlock()
	if err := p.ground.wait(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	g, service, limits := p.group, p.service, p.resources()
	p.mu.Unlock()
	if g == nil || limits == nil {
		return nil // Start makes it with the new limits
	}
	if err := g.Update(ctx, limits); err != nil {
		return err
	}
	if service == nil {
		return nil
	}
	return errors.Join(service.PodResized(ctx), p.eachWorker(func(w *pod) error {
		if s := w.hostService(); s != nil {
			return s.PodResized(ctx)
		}
		return nil
	}))
}

// resources are the limits of the cgroup: for a pod what its containers may use in
// all, and what the pod itself costs, so that a guest over its own limit ends by its
// engine, with a reason, and not by the kernel. p.mu is held.
func (p *pod) resources() *specs.LinuxResources {
	if p.worker != nil {
		return p.worker.resources
	}
	r, over := p.linux.GetResources(), p.linux.GetOverhead()
	if r == nil {
		return nil
	}
	out := &specs.LinuxResources{}
	if m := r.GetMemoryLimitInBytes(); m > 0 {
		extra := over.GetMemoryLimitInBytes()
		if extra <= 0 {
			extra = p.s.config.MemoryOverhead
			if p.record.WasmEdge {
				extra += libraryOverhead
			}
		}
		m += extra + p.workersBelow()*p.s.config.MemoryOverhead
		out.Memory = &specs.LinuxMemory{Limit: &m}
	}
	out.CPU = cpu(r)
	return out
}

func cpu(r *cri.LinuxContainerResources) *specs.LinuxCPU {
	c := &specs.LinuxCPU{Cpus: r.GetCpusetCpus(), Mems: r.GetCpusetMems()}
	if n := r.GetCpuShares(); n > 0 {
		shares := uint64(n)
		c.Shares = &shares
	}
	if quota, period := r.GetCpuQuota(), r.GetCpuPeriod(); quota > 0 && period > 0 {
		p := uint64(period)
		c.Quota, c.Period = &quota, &p
	}
	return c
}
