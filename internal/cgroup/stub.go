// Package cgroup makes the cgroup of a pod, on v1, v2 and hybrid hosts.
package cgroup

import (
	"context"
	"os"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
)

type Mode int

const (
	V1 Mode = iota + 1
	V2
	Hybrid // treated as V1: the controllers are there
)

func HostMode() Mode { return V1 }

// State is what a record on disk keeps to Load a group again.
type State struct {
	Path string   `json:"path"`
	Unit string   `json:"unit,omitempty"` // systemd scope, if it is one
	Made []string `json:"made,omitempty"` // parents that Create made
}

type Group struct{}

func Create(ctx context.Context, parent, name string, r *specs.LinuxResources) (*Group, error) {
	return nil, errdefs.ErrNotImplemented
}

// Load: ErrNotFound when it is gone.
func Load(s State) (*Group, error)                      { return nil, errdefs.ErrNotImplemented }
func (g *Group) State() State                           { return State{} }
func (g *Group) Path() string                           { return "" } // e.g. /kubepods/burstable/podX/name
func (g *Group) Mode() Mode                             { return V1 }
func (g *Group) Missing() []string                      { return nil }
func (g *Group) Join() error                            { return errdefs.ErrNotImplemented } // confine.Config.Join; no-op on v2
func (g *Group) Dir() (*os.File, error)                 { return nil, nil }                  // confine.Config.CgroupFD, caller closes; nil on v1 and before a scope exists
func (g *Group) Adopt(pid int) error                    { return errdefs.ErrNotImplemented } // confine.Config.Adopt; no-op but for systemd scopes
func (g *Group) Add(ctx context.Context, pid int) error { return errdefs.ErrNotImplemented } // moves a process, all threads
func (g *Group) Metrics(ctx context.Context) (proto.Message, error) {
	return nil, errdefs.ErrNotImplemented
}
func (g *Group) Update(ctx context.Context, r *specs.LinuxResources) error {
	return errdefs.ErrNotImplemented
}
func (g *Group) OOM(ctx context.Context) (<-chan struct{}, error) {
	return nil, errdefs.ErrNotImplemented
}
func (g *Group) Procs() ([]int, error)            { return nil, errdefs.ErrNotImplemented }
func (g *Group) Kill(ctx context.Context) error   { return errdefs.ErrNotImplemented }
func (g *Group) Delete(ctx context.Context) error { return errdefs.ErrNotImplemented }
