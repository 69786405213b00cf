package controller

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sync/errgroup"

	"blazar/internal/proc"
	"blazar/sandbox"
	"blazar/sandbox/state"
)

// recoverAtOnce is how many sandboxes are recovered at the same time.
const recoverAtOnce = 8

// Recover makes the recorded sandboxes again, watches those that run, and cleans up
// after a Create or Start that the last process did not finish. A sandbox of which
// nothing can be known is kept as one that has ended, for Shutdown to remove; an
// error means that the records cannot be read at all.
func (s *Service) Recover(ctx context.Context) error {
	records, err := s.config.Store.Load(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(recoverAtOnce)
	for _, r := range records {
		if r.Kind != s.sandboxer.Kind() {
			log.G(ctx).WithField("sandbox_id", r.ID).Warnf("record of kind %q among those of kind %q is ignored", r.Kind, s.sandboxer.Kind())
			continue
		}
		p := newPod(s, *r)
		p.recovered = true
		if err := s.add(p); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(p.logger(ctx), s.config.Timeouts.Recover)
			defer cancel()
			p.recover(ctx)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if k, ok := s.sandboxer.(sandbox.Recovered); ok {
		return guard(ctx, "recovered", func() error { k.Recovered(ctx); return nil })
	}
	return nil
}

// recover makes one sandbox again.
func (p *pod) recover(ctx context.Context) {
	if err := p.take(ctx); err != nil {
		log.G(ctx).WithError(err).Error("cannot recover the sandbox")
		return
	}
	defer p.release()
	if err := p.remake(ctx); err != nil {
		log.G(ctx).WithError(err).Error("nothing can be known of the sandbox any more")
		p.ended(ctx, &sandbox.Exit{Status: statusUnknown, Reason: "could not be recovered: " + err.Error()})
		return
	}
	r, sb := p.now()
	switch r.Phase {
	case state.Creating, state.Starting, state.Failed:
		// Whoever asked for it was told that it failed, and has forgotten it.
		log.G(ctx).Infof("removing a sandbox that was %s when the daemon ended", r.Phase)
		if err := guard(ctx, "stop", func() error { return sb.Stop(ctx) }); err != nil {
			log.G(ctx).WithError(err).Warn("deleting a sandbox that could not be stopped")
		}
		p.drop(ctx)
	case state.Created:
		p.expire(len(r.Config) > 0)
	case state.Started:
		p.watch()
	}
}

// expire deletes a recovered sandbox that nobody starts, if it is the CRI plugin's: that
// starts what it has created at once, and when this fails, because the daemon was
// away, forgets it.
func (p *pod) expire(cri bool) {
	if !cri || p.service.begin() != nil {
		return
	}
	go func() {
		defer p.service.work.Done()
		select {
		case <-time.After(p.service.config.Timeouts.Unstarted):
		case <-p.done:
			return
		case <-p.service.ctx.Done():
			return
		}
		ctx := p.logger(p.service.ctx)
		if err := p.take(ctx); err != nil {
			return
		}
		defer p.release()
		if r, _ := p.now(); r.Phase == state.Created && !p.isGone() {
			log.G(ctx).Info("removing a sandbox that nobody has started since the daemon was")
			p.drop(ctx)
		}
	}()
}

func (p *pod) remake(ctx context.Context) error {
	r, _ := p.now()
	request, err := p.requestOf(r)
	if err != nil {
		return err
	}
	var sb sandbox.Sandbox
	err = guard(ctx, "recover", func() (err error) {
		sb, err = p.service.sandboxer.Recover(ctx, request, r.Private)
		return err
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.request, p.sandbox = request, sb
	return nil
}

// reclaim ends what may be left of a pod that could not be recovered. Perhaps the
// kind can by now; if not, the recorded process is killed.
func (p *pod) reclaim(ctx context.Context) error {
	err := p.remake(ctx)
	if err == nil {
		return p.halt(ctx)
	}
	r, _ := p.now()
	if r.Start == nil || r.Start.StartTime == 0 {
		return nil
	}
	h, oerr := proc.Open(proc.Ref{Pid: int(r.Start.Pid), StartTime: r.Start.StartTime})
	if errdefs.IsNotFound(oerr) {
		return nil
	}
	if oerr != nil {
		return fmt.Errorf("sandbox %q: %w", p.id, errors.Join(err, oerr))
	}
	defer func() { _ = h.Close() }() // nothing was written
	log.G(ctx).WithError(err).Warnf("killing process %d of a pod that cannot be recovered", r.Start.Pid)
	if err := h.Signal(syscall.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("sandbox %q: %w", p.id, err)
	}
	if _, err := h.Wait(ctx); err != nil {
		return fmt.Errorf("sandbox %q: %w", p.id, err)
	}
	return nil
}
