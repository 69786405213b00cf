// Package cgroup makes, measures and removes the cgroups of pods, on hosts with
// cgroup v1, v2 or both, below parents of the cgroupfs and the systemd driver.
//
// Life cycle of a Group: made by Create or, after a restart, by Load; Join, Dir
// and Adopt get a process born into it (package confine calls them); Kill and
// Delete last, in any state and any number of times. All methods are safe for
// concurrent use.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
)

// Group is the cgroup of one pod: one directory in every hierarchy of v1, or one
// of v2.
type Group struct {
	host  host
	state State
	b     backend

	mu      sync.Mutex // guards what follows
	limits  *specs.LinuxResources
	stopped bool

	stop     chan struct{} // closed when stopped is set
	watchers sync.WaitGroup
}

// State is what a record on disk keeps of a group.
type State struct {
	// Path from the root of each hierarchy.
	Path string `json:"path"`
	// Scope is the systemd unit that the group is, empty if it is none.
	Scope string `json:"scope,omitempty"`
	// Made are the directories above it that Create made, which Delete removes when
	// they are empty.
	Made []string `json:"made,omitempty"`
}

// backend is a version of cgroups. Its methods may run concurrently.
type backend interface {
	// dirs are the group's directories, one per hierarchy.
	dirs() []string
	// controllers are what /proc/PID/cgroup calls the hierarchies; none on v2.
	controllers() []string
	// create makes them and what is missing above, and sets limits.
	create(r *specs.LinuxResources) error
	update(r *specs.LinuxResources) error
	// join moves the calling thread.
	join() error
	// metrics of a group that exists.
	metrics() (proto.Message, error)
	// missing are controllers that the host lacks.
	missing() []string
	// events opens what becomes readable when memory has run out; check counts how
	// often it has, since the last time, and ok is false once the group is gone.
	events() (f *os.File, check func(read []byte) (n int, ok bool), err error)
	// threads is a group of threads below it.
	threads(name string) threadsBackend
}

// Create makes a group called name below CRI's cgroup parent: a path as of the
// cgroupfs driver ("/kubepods/burstable/podUID") or a slice as of the systemd
// driver ("kubepods-burstable-podUID.slice"). Below a slice, where systemd runs,
// the group is a scope, which exists from Adopt on: a directory that systemd does
// not know could lose its controllers whenever systemd configures the slice.
// Otherwise it is a plain directory.
//
// Limits on what the host has no controller for are left out: see Missing. A group
// that exists is taken over if it is empty, else errdefs.ErrAlreadyExists.
func Create(ctx context.Context, parent, name string, r *specs.LinuxResources) (*Group, error) {
	return thisHost().create(ctx, parent, name, r)
}

// Load finds a group again; errdefs.ErrNotFound if it is gone in every hierarchy.
// The group returned along with that error can still be deleted.
func Load(s State) (*Group, error) {
	return thisHost().load(s)
}

func (h host) create(ctx context.Context, parent, name string, r *specs.LinuxResources) (_ *Group, err error) {
	s, err := h.named(parent, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &specs.LinuxResources{}
	}
	g := h.group(s)
	g.limits = r
	if s.Scope != "" {
		return g, nil
	}
	if pids, err := g.Procs(); err == nil && len(pids) > 0 {
		return nil, fmt.Errorf("cgroup %s holds process %d: %w", s.Path, pids[0], errdefs.ErrAlreadyExists)
	}
	g.state.Made = missingParents(g.b.dirs(), s.Path)
	if err := g.b.create(r); err != nil {
		return nil, fmt.Errorf("create cgroup %s: %w", s.Path, errors.Join(err, g.Delete(ctx)))
	}
	return g, nil
}

// Find is the group that Create would make, whoever made it; errdefs.ErrNotFound if there
// is none in any hierarchy. The group returned along with that error can still be deleted.
func Find(parent, name string) (*Group, error) {
	h := thisHost()
	s, err := h.named(parent, name)
	if err != nil {
		return nil, err
	}
	return h.load(s)
}

// named says where a group called name below a CRI's cgroup parent is.
func (h host) named(parent, name string) (State, error) {
	dir, slice, err := parentPath(parent)
	if err != nil {
		return State{}, err
	}
	if err := checkName(name); err != nil {
		return State{}, err
	}
	if slice == "" || h.scopes == nil {
		return State{Path: path.Join(dir, name)}, nil
	}
	return State{Path: path.Join(dir, name+".scope"), Scope: name + ".scope"}, nil
}

func (h host) load(s State) (*Group, error) {
	if err := checkPath(s.Path); err != nil {
		return nil, err
	}
	g := h.group(s)
	if !g.exists() {
		return g, fmt.Errorf("cgroup %s: %w", s.Path, errdefs.ErrNotFound)
	}
	return g, nil
}

func (h host) group(s State) *Group {
	return &Group{host: h, state: s, b: h.backend(s.Path), stop: make(chan struct{})}
}

// State is what Load needs.
func (g *Group) State() State { return g.state }

// Path from the root of each hierarchy.
func (g *Group) Path() string { return g.state.Path }

// Mode of the host.
func (g *Group) Mode() Mode { return g.host.mode }

// Missing names the controllers that pods are limited and measured by and that the
// host does not have, at least not for this group.
func (g *Group) Missing() []string { return g.b.missing() }

// Metrics is a cgroups v1 or v2 Metrics message of package
// github.com/containerd/cgroups/v3, whichever the host uses. errdefs.ErrNotFound
// when the group is gone, or a scope that has not begun.
func (g *Group) Metrics(ctx context.Context) (proto.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !g.exists() {
		return nil, fmt.Errorf("metrics of cgroup %s: %w", g.state.Path, errdefs.ErrNotFound)
	}
	m, err := g.b.metrics()
	if err != nil {
		return nil, fmt.Errorf("metrics of cgroup %s: %w", g.state.Path, err)
	}
	return m, nil
}

// Update sets limits; those that r leaves out stay.
func (g *Group) Update(ctx context.Context, r *specs.LinuxResources) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.state.Scope != "" && !g.exists() {
		g.mu.Lock()
		g.limits = merge(g.limits, r)
		g.mu.Unlock()
		return nil
	}
	if err := g.b.update(r); err != nil {
		return fmt.Errorf("update cgroup %s: %w", g.state.Path, err)
	}
	return nil
}

// exists says whether one of the group's directories does.
func (g *Group) exists() bool {
	for _, d := range g.b.dirs() {
		if _, err := os.Stat(d); err == nil {
			return true
		}
	}
	return false
}
