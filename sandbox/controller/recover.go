package controller

import (
	"context"
	"fmt"

	"github.com/containerd/log"
	"golang.org/x/sync/errgroup"

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
	return group.Wait()
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
	case state.Creating:
		// Whoever asked for it was told that it failed.
		log.G(ctx).Info("removing a sandbox whose creation was interrupted")
		ctx, cancel := detach(ctx, p.service.config.Timeouts.Delete)
		defer cancel()
		if err := p.discard(ctx); err != nil {
			log.G(ctx).WithError(err).Error("cannot remove a sandbox whose creation was interrupted")
		}
	case state.Starting:
		log.G(ctx).Info("stopping a pod whose start was interrupted")
		if err := guard(ctx, "stop", func() error { return sb.Stop(ctx) }); err != nil {
			log.G(ctx).WithError(err).Error("cannot stop a pod whose start was interrupted")
		}
		p.ended(ctx, &sandbox.Exit{Status: statusUnknown, Reason: "the daemon ended while the pod was being started"})
	case state.Started:
		p.watch()
	}
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
