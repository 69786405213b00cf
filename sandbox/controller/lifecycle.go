package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/internal/proc"
	"blazar/sandbox"
	"blazar/sandbox/state"
)

// create makes a sandbox of a record. When ctx ends meanwhile, or Shutdown comes,
// everything of it is removed again.
func (s *Service) create(ctx context.Context, r state.Record) error {
	if err := identifiers.Validate(r.ID); err != nil {
		return fmt.Errorf("sandbox id: %w", err)
	}
	p := newPod(s, r)
	ctx = p.logger(ctx)
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.release()
	if err := s.add(p); err != nil {
		return err
	}
	if err := p.make(ctx); err != nil {
		return fmt.Errorf("create sandbox %q: %w", p.id, err)
	}
	return nil
}

func (p *pod) make(ctx context.Context) (err error) {
	if err := p.service.config.Store.Create(p.id); err != nil {
		p.forget()
		return err
	}
	ctx, cancel := p.interruptible(ctx)
	defer cancel()
	defer func() {
		if err == nil {
			return
		}
		p.drop(ctx)
	}()
	if err := p.write(func(*state.Record) {}); err != nil {
		return err
	}
	request, err := p.requestOf(p.record)
	if err != nil {
		return err
	}
	var sb sandbox.Sandbox
	err = guard(ctx, "create", func() (err error) {
		sb, err = p.service.sandboxer.Create(ctx, request)
		return err
	})
	p.mu.Lock()
	p.request, p.sandbox = request, sb
	p.mu.Unlock()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	return p.write(func(r *state.Record) { r.Phase = state.Created })
}

// start runs the sandbox.
func (p *pod) start(ctx context.Context) (*state.Start, error) {
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	r, sb := p.now()
	switch {
	case p.isGone():
		return nil, fmt.Errorf("sandbox %q: %w", p.id, errdefs.ErrNotFound)
	case r.Phase != state.Created || sb == nil:
		return nil, fmt.Errorf("cannot start sandbox %q, it is %s: %w", p.id, r.Phase, errdefs.ErrFailedPrecondition)
	}
	ctx, cancel := p.interruptible(ctx)
	defer cancel()
	if err := p.write(func(r *state.Record) { r.Phase = state.Starting }); err != nil {
		return nil, err
	}
	var started *sandbox.Started
	err := guard(ctx, "start", func() (err error) {
		started, err = sb.Start(ctx)
		return err
	})
	if err == nil && started == nil {
		err = fmt.Errorf("kind %s started nothing: %w", p.service.sandboxer.Kind(), errdefs.ErrInternal)
	}
	if err != nil {
		p.fail(ctx, err)
		return nil, fmt.Errorf("start sandbox %q: %w", p.id, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, p.abandon(ctx, err)
	}
	start := &state.Start{Pid: started.Pid, Address: started.Address, CreatedAt: started.CreatedAt, Labels: started.Labels}
	if start.CreatedAt.IsZero() {
		start.CreatedAt = time.Now()
	}
	if ref, err := proc.RefOf(int(started.Pid)); err == nil {
		start.StartTime = ref.StartTime
	}
	if err := p.write(func(r *state.Record) { r.Phase, r.Start = state.Started, start }); err != nil {
		return nil, p.abandon(ctx, err)
	}
	p.watch()
	return start, nil
}

// abandon ends a pod that runs, but of which nobody would know: its caller has gone
// away, or it could not be recorded.
func (p *pod) abandon(ctx context.Context, cause error) error {
	stop, cancel := detach(ctx, p.service.config.Timeouts.Stop)
	defer cancel()
	_, sb := p.now()
	err := guard(ctx, "stop", func() error { return sb.Stop(stop) })
	p.fail(ctx, cause)
	return errors.Join(fmt.Errorf("start sandbox %q: %w", p.id, cause), err)
}

// fail deletes a pod that could not be started: containerd forgets it without a
// Shutdown (internal/cri/server/sandbox_run.go).
func (p *pod) fail(ctx context.Context, cause error) {
	p.finish(ctx, state.Failed, &sandbox.Exit{Status: statusUnknown, Reason: "could not be started: " + cause.Error()})
	p.drop(ctx)
}

// stop ends the pod; it succeeds when there is nothing to end.
func (p *pod) stop(ctx context.Context) error {
	p.stopOthers()
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.release()
	return p.halt(ctx)
}

// halt ends the pod and returns when its exit is recorded. The caller has the turn.
func (p *pod) halt(ctx context.Context) error {
	r, sb := p.now()
	if r.Phase == state.Creating || p.isGone() {
		return nil
	}
	if sb == nil {
		return p.reclaim(ctx)
	}
	// Also of one that has ended by itself: its children may live.
	if err := guard(ctx, "stop", func() error { return sb.Stop(ctx) }); err != nil {
		return fmt.Errorf("stop sandbox %q: %w", p.id, err)
	}
	if r.Phase == state.Created {
		p.ended(ctx, &sandbox.Exit{})
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sandbox %q was stopped, but its exit was not seen: %w", p.id, ctx.Err())
	}
}

// shutdown ends the pod and forgets it. Whatever fails may be tried again.
func (p *pod) shutdown(ctx context.Context) error {
	p.stopOthers()
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.release()
	if p.isGone() {
		return nil
	}
	if err := p.halt(ctx); err != nil {
		// Delete must cope with any state, and may do what Stop could not.
		log.G(ctx).WithError(err).Warn("deleting a pod that could not be stopped")
	}
	ctx, cancel := detach(ctx, p.service.config.Timeouts.Delete)
	defer cancel()
	if err := p.discard(ctx); err != nil {
		return fmt.Errorf("delete sandbox %q: %w", p.id, err)
	}
	return nil
}
