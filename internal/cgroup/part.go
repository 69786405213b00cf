package cgroup

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Part makes a group for further processes of the same pod, with limits of their
// own: below g on v1, so that the pod's limits hold for them too. It is beside g
// where g cannot have processes and limited groups below it at once: on v2 (the
// kernel's admin-guide/cgroup-v2.rst, "No Internal Process Constraint") and where g is
// a scope, whose inside is not systemd's to configure. There the limits of the
// parent, a kubelet's group of the pod, hold for both. The life cycle is that of any
// group; Delete of g deletes those below it.
func (g *Group) Part(ctx context.Context, name string, r *specs.LinuxResources) (*Group, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if g.state.Scope == "" && g.host.mode != V2 {
		if !g.exists() {
			return nil, fmt.Errorf("cgroup %s: %w", g.state.Path, errdefs.ErrNotFound)
		}
		// No file of the kernel's is named like this.
		return g.host.create(ctx, g.state.Path, "worker-"+name, r)
	}
	base := strings.TrimSuffix(path.Base(g.state.Path), ".scope")
	return g.host.create(ctx, path.Dir(g.state.Path), base+"-"+name, r)
}

// Has says whether other lies below g, so that the limits of g hold for it too.
func (g *Group) Has(other *Group) bool {
	return strings.HasPrefix(other.state.Path, g.state.Path+"/")
}
