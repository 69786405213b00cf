package wasmsandboxer

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/wasmsandboxer/host"
)

// LinuxRunner runs the Linux containers of mixed pods. Everything of a pod has a name
// that follows from its id, so that one of a daemon before is found again. Safe for
// concurrent use.
type LinuxRunner interface {
	// Create makes a container in a pod, see host.Linux.
	Create(ctx context.Context, p LinuxPod, c host.LinuxContainer) (tasks *os.File, err error)
	// Has says whether a pod has the container, HasAny whether it has, or had, one.
	Has(pod, container string) bool
	HasAny(pod string) bool
	// Kill, Update and Remove are those of host.Linux.
	Kill(ctx context.Context, pod, container string) error
	Update(ctx context.Context, container string, r *specs.LinuxResources) error
	Remove(ctx context.Context, pod, container string) error
	// EndPod ends every Linux process of a pod, DeletePod also frees what they have in
	// common. A pod without any is no error.
	EndPod(ctx context.Context, pod string) error
	DeletePod(ctx context.Context, pod string) error
}

// LinuxPod is the pod that Linux containers are to be part of.
type LinuxPod struct {
	ID     string
	Config *cri.PodSandboxConfig
	// NetNS is the path of its network namespace, empty for the host's: a wasm-task may
	// sit in another one.
	NetNS string
	// Process is its wasm-task, whose ipc and uts namespaces are the pod's.
	Process *proc.Handle
	Group   *cgroup.Group
}

// linux is that of one pod, for its host service.
type linux struct{ p *pod }

var _ host.Linux = linux{}

// hostLinux is nil for a pod that can have no Linux containers, or a worker.
func (p *pod) hostLinux() host.Linux {
	if p.worker != nil || p.s.config.Linux == nil {
		return nil
	}
	return linux{p}
}

func (l linux) runner() LinuxRunner { return l.p.s.config.Linux }

// Create makes the container, unless the pod ends.
func (l linux) Create(ctx context.Context, c host.LinuxContainer) (*os.File, error) {
	l.p.mu.Lock()
	over, h, g := l.p.stopping || l.p.exit != nil, l.p.process, l.p.group
	l.p.mu.Unlock()
	if over || h == nil {
		return nil, fmt.Errorf("the pod ends: %w", errdefs.ErrUnavailable)
	}
	return l.runner().Create(ctx, LinuxPod{ID: l.p.r.ID, Config: l.p.r.Config, NetNS: l.p.r.NetNS, Process: h, Group: g}, c)
}

// Has says whether the pod has the container.
func (l linux) Has(id string) bool { return l.runner().Has(l.p.r.ID, id) }

// Kill ends the container's processes.
func (l linux) Kill(ctx context.Context, id string) error {
	return l.runner().Kill(ctx, l.p.r.ID, id)
}

// Update changes its limits.
func (l linux) Update(ctx context.Context, id string, r *specs.LinuxResources) error {
	return l.runner().Update(ctx, id, r)
}

// Remove takes all that it has.
func (l linux) Remove(ctx context.Context, id string) error {
	return l.runner().Remove(ctx, l.p.r.ID, id)
}

// endLinux ends the pod's Linux containers.
func (p *pod) endLinux(ctx context.Context) error {
	if p.hostLinux() == nil {
		return nil
	}
	if err := p.s.config.Linux.EndPod(ctx, p.r.ID); err != nil {
		return fmt.Errorf("the Linux containers of the pod: %w", err)
	}
	return nil
}

// deleteLinux frees what they had.
func (p *pod) deleteLinux(ctx context.Context) error {
	if p.hostLinux() == nil {
		return nil
	}
	if err := p.s.config.Linux.DeletePod(ctx, p.r.ID); err != nil {
		return fmt.Errorf("the Linux containers of the pod: %w", err)
	}
	return nil
}

// whole is the group that the pod's Linux containers are in too: the parent that CRI
// names, which a kubelet limits and measures; nil for a pod that has none of them, or
// whose own group holds them.
func (p *pod) whole() (*cgroup.Group, error) {
	parent := p.r.Config.GetLinux().GetCgroupParent()
	if p.hostLinux() == nil || parent == "" || !p.s.config.Linux.HasAny(p.r.ID) {
		return nil, nil
	}
	return cgroup.Parent(parent)
}
