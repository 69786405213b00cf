package runcsandboxer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/sandbox"
)

// Kind is the kind's name.
const Kind = "runc"

var _ sandbox.Sandboxer = (*Sandboxer)(nil)

// Kind is "runc".
func (s *Sandboxer) Kind() string { return Kind }

// Create checks the request. Nothing is made yet.
func (s *Sandboxer) Create(_ context.Context, r *sandbox.Request) (sandbox.Sandbox, error) {
	plan, err := newPlan(r, &s.config)
	if err != nil {
		return nil, err
	}
	return newPod(s, r, plan, record{}), nil
}

// Recover finds the pod again: its reaper by pid and start time, its cgroup by path,
// all else by name.
func (s *Sandboxer) Recover(ctx context.Context, r *sandbox.Request, saved json.RawMessage) (sandbox.Sandbox, error) {
	var rec record
	if len(saved) > 0 {
		if err := json.Unmarshal(saved, &rec); err != nil {
			return nil, fmt.Errorf("record of runc pod %s: %w: %w", r.ID, err, errdefs.ErrInvalidArgument)
		}
	}
	plan, err := newPlan(r, &s.config)
	if err != nil {
		return nil, err
	}
	p := newPod(s, r, plan, rec)
	if rec.Cgroup != nil {
		g, err := cgroup.Load(*rec.Cgroup)
		if err != nil && !(errdefs.IsNotFound(err) && rec.Cgroup.Scope != "") {
			log.G(ctx).WithError(err).Warn("cgroup of a recovered pod")
		}
		p.group = g // also one that is gone can be deleted
	}
	p.recoverUnstarted(ctx)
	if rec.Reaper != nil {
		h, err := proc.Open(*rec.Reaper)
		switch {
		case errors.Is(err, errdefs.ErrNotFound):
			p.lost("pod-reaper, the first process of the pod's pid namespace, ended while blazar serve was not running")
		case err != nil:
			s.remove(p)
			return nil, fmt.Errorf("runc pod %s: %w", r.ID, err)
		default:
			p.adopt(h)
		}
	}
	return p, nil
}

// recoverUnstarted finds what a daemon left that was killed in the middle of Start: a
// cgroup that it made and could not record any more.
func (p *pod) recoverUnstarted(ctx context.Context) {
	if _, err := os.Stat(p.path(etcName)); err != nil || p.record.Started || p.group != nil {
		return // Start makes the files first
	}
	g, err := cgroup.Find(cmp.Or(p.parent(), p.s.config.CgroupParent), p.r.ID)
	switch {
	case err == nil:
		p.group = g
	case !errdefs.IsNotFound(err):
		log.G(ctx).WithError(err).Warn("a cgroup may stay of a pod that was not started to its end")
	}
}
