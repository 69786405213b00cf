package controller

import (
	"context"
	"time"

	"github.com/containerd/log"

	"blazar/sandbox/state"
)

// retryMost is the longest pause between two attempts to delete a sandbox.
const retryMost = time.Minute

// drop deletes a sandbox that nobody will ask to delete, now or, if that fails,
// later. The caller has the turn. It goes on when its caller goes away.
func (p *pod) drop(ctx context.Context) {
	err := p.tryDrop(ctx)
	if err == nil || p.service.begin() != nil {
		return
	}
	log.G(ctx).WithError(err).Error("something stays of a sandbox that failed, it will be tried again")
	go func() {
		defer p.service.work.Done()
		p.retryDrop(p.logger(p.service.ctx))
	}()
}

func (p *pod) tryDrop(ctx context.Context) error {
	ctx, cancel := detach(ctx, p.service.config.Timeouts.Delete)
	defer cancel()
	return p.discard(ctx)
}

// retryDrop tries to delete the sandbox until that succeeds or the daemon ends, upon
// which the next one does it.
func (p *pod) retryDrop(ctx context.Context) {
	for pause := p.service.config.Timeouts.Retry; !p.isGone(); pause = min(2*pause, retryMost) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if err := p.take(ctx); err != nil {
			return
		}
		var err error
		if !p.isGone() {
			err = p.tryDrop(ctx)
		}
		p.release()
		if err != nil {
			log.G(ctx).WithError(err).Warn("something still stays of a sandbox that failed")
		}
	}
}

// discard deletes the sandbox, if there is one, then its directory, and forgets it.
// Whatever fails may be tried again, by another Shutdown.
func (p *pod) discard(ctx context.Context) error {
	if _, sb := p.now(); sb != nil {
		if err := guard(ctx, "delete", func() error { return sb.Delete(ctx) }); err != nil {
			return err
		}
	}
	p.endWatch(ctx)
	// Nothing may write the record again while it goes.
	p.writing.Lock()
	defer p.writing.Unlock()
	if err := p.service.config.Store.Remove(p.id); err != nil {
		return err
	}
	p.forget()
	return nil
}

// endWatch ends the watching of a deleted pod.
func (p *pod) endWatch(ctx context.Context) {
	p.mu.Lock()
	unwatch, watched := p.unwatch, p.watched
	p.mu.Unlock()
	if unwatch == nil {
		return
	}
	unwatch()
	select {
	case <-watched:
	case <-ctx.Done():
		log.G(ctx).Error("the kind keeps waiting for a pod that was deleted")
	}
}

// forget lets go of a pod of which nothing is left.
func (p *pod) forget() {
	p.mu.Lock()
	p.gone = true
	ended := p.record.Exit != nil
	if !ended {
		p.record.Exit = &state.Exit{Status: statusUnknown, At: time.Now(), Reason: "deleted"}
	}
	p.mu.Unlock()
	if !ended {
		close(p.done)
	}
	p.service.remove(p.id)
}
