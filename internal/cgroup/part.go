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
	if g.hasParts() && !g.exists() {
		return nil, fmt.Errorf("cgroup %s: %w", g.state.Path, errdefs.ErrNotFound)
	}
	parent, name := g.part(name)
	return g.host.create(ctx, parent, name, r)
}

// FindPart is the group that Part would make, like Find.
func (g *Group) FindPart(name string) (*Group, error) {
	s, err := g.host.named(g.part(name))
	if err != nil {
		return nil, err
	}
	return g.host.load(s)
}

// hasParts says whether parts are below the group.
func (g *Group) hasParts() bool { return g.state.Scope == "" && g.host.mode != V2 }

func (g *Group) part(name string) (parent, base string) {
	if g.hasParts() {
		return g.state.Path, "worker-" + name // no file of the kernel's is named like this
	}
	return path.Dir(g.state.Path), strings.TrimSuffix(path.Base(g.state.Path), ".scope") + "-" + name
}

// Has says whether other lies below g, so that the limits of g hold for it too.
func (g *Group) Has(other *Group) bool {
	return strings.HasPrefix(other.state.Path, g.state.Path+"/")
}
