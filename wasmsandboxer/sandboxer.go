package wasmsandboxer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/internal/cgroup"
	"blazar/internal/idrange"
	"blazar/internal/proc"
	"blazar/sandbox"
	"blazar/wasmsandboxer/podspec"
)

// Kind is the kind's name.
const Kind = "wasm"

var _ sandbox.Sandboxer = (*Sandboxer)(nil)

// Kind is "wasm".
func (s *Sandboxer) Kind() string { return Kind }

// Create takes a prepared wasm-task, or else an id range, for the pod and records it.
func (s *Sandboxer) Create(ctx context.Context, r *sandbox.Request) (sandbox.Sandbox, error) {
	if err := podspec.CheckPrepared(r.Annotations); err != nil {
		return nil, err
	}
	rec := record{}
	t, why := s.choosePrepared(r)
	if t != nil {
		ref := t.process.Ref()
		rec.UID, rec.Prepared, rec.Waiting = t.uid, t.name, &ref
	} else {
		uid, err := s.config.IDs.Take()
		if err != nil {
			return nil, err
		}
		rec.UID, rec.Cold = uid, why
	}
	p := newPod(s, r, rec, nil)
	if p.task = t; t == nil {
		p.chooseLibrary(ctx)
	}
	err := r.Save(ctx, p.record)
	if err == nil {
		err = p.beginGround()
	}
	if err != nil {
		return nil, errors.Join(err, p.Delete(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// Recover finds the pod again: its process by pid and start time, its cgroup, its
// mounts by name; and connects to its wasm-task.
func (s *Sandboxer) Recover(ctx context.Context, r *sandbox.Request, saved json.RawMessage) (sandbox.Sandbox, error) {
	var rec record
	if err := json.Unmarshal(saved, &rec); err != nil {
		return nil, fmt.Errorf("record of wasm pod %s: %w: %w", r.ID, err, errdefs.ErrInvalidArgument)
	}
	if rec.UID == 0 || rec.UID%idrange.Size != 0 {
		return nil, fmt.Errorf("record of wasm pod %s has the uid %d: %w", r.ID, rec.UID, errdefs.ErrInvalidArgument)
	}
	if err := s.config.IDs.Reserve(rec.UID); err != nil {
		log.G(ctx).WithError(err).Warn("two pods have the same user id")
	}
	p := newPod(s, r, rec, nil)
	known := p.knowWorkers(ctx)
	defer func() {
		for _, n := range known {
			n.worker.leave()
		}
	}()
	if err := p.recover(ctx); err != nil {
		return nil, err
	}
	if err := p.recoverWorkers(ctx, known); err != nil {
		return nil, errors.Join(err, p.release(ctx))
	}
	return p, nil
}

// recover finds what the record names.
func (p *pod) recover(ctx context.Context) error {
	rec := p.record
	if rec.Cgroup != nil {
		g, err := cgroup.Load(*rec.Cgroup)
		if err != nil {
			log.G(ctx).WithError(err).Warn("cgroup of a recovered pod")
		}
		p.setGroup(g) // also one that is gone can be deleted
	}
	if rec.Process == nil {
		if err := p.endWaiting(); err != nil {
			return fmt.Errorf("prepared wasm-task of pod %s: %w", p.r.ID, err)
		}
		return p.recoverUnstarted(ctx) // or not to its end
	}
	h, err := proc.Open(*rec.Process)
	if errors.Is(err, errdefs.ErrNotFound) {
		p.lost("wasm-task ended while blazar serve was not running")
		return nil
	}
	if err != nil {
		return fmt.Errorf("wasm pod %s: %w", p.r.ID, err)
	}
	p.resettle(h)
	p.adopt(h, nil)
	return nil
}

// recoverUnstarted finds what a daemon left that was killed in the middle of Start:
// a cgroup that it made and could not record any more. A wasm-task that was not
// recorded ended by itself.
func (p *pod) recoverUnstarted(ctx context.Context) error {
	if p.group != nil {
		return nil
	}
	if _, err := os.Stat(p.path(rootName)); err != nil {
		return nil // the root is made first
	}
	g, err := p.findGroup()
	if err != nil && !errdefs.IsNotFound(err) {
		log.G(ctx).WithError(err).Warn("a cgroup may stay of a pod that was not started to its end")
		return nil
	}
	p.setGroup(g) // also one that is gone can be deleted
	return nil
}

func (p *pod) setGroup(g *cgroup.Group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group = g
}
