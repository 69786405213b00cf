package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/sandbox"
	"blazar/sandbox/state"
)

// statusUnknown is the exit status of a pod whose end was not seen, the same that
// containerd gives.
const statusUnknown = 255

// pod is one sandbox and what is known of it.
type pod struct {
	service *Service
	id      string

	// recovered says that another daemon made it.
	recovered bool

	// turn holds a token while somebody creates, starts, stops or deletes;
	// updating the same for updates.
	turn, updating chan struct{}
	// done is closed once the exit is recorded.
	done chan struct{}

	// writing serializes changes of the record, which end on disk. Taken before mu.
	writing sync.Mutex

	mu sync.Mutex // guards the fields below, never held during a call to the kind or a write
	// record is replaced as a whole, so a copy of it may be read without the lock.
	record  state.Record
	request *sandbox.Request
	// sandbox is nil until it is created, and when it could not be recovered.
	sandbox sandbox.Sandbox
	// interrupt ends a Create or Start that is going on.
	interrupt context.CancelFunc
	// unwatch ends the watching of the pod; watched is closed when it has ended.
	unwatch context.CancelFunc
	watched chan struct{}
	gone    bool
}

func newPod(s *Service, r state.Record) *pod {
	p := &pod{
		service:  s,
		id:       r.ID,
		record:   r,
		turn:     make(chan struct{}, 1),
		updating: make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
	if r.Exit != nil {
		close(p.done)
	}
	return p
}

// now returns what is known at the moment.
func (p *pod) now() (state.Record, sandbox.Sandbox) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record, p.sandbox
}

// exists is false while the sandbox is being created, and after it was deleted.
func (p *pod) exists() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record.Phase != state.Creating && !p.gone
}

func (p *pod) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// take waits for the turn.
func (p *pod) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sandbox %q: another call is still going on: %w", p.id, ctx.Err())
	}
}

func (p *pod) release() { <-p.turn }

// interruptible makes a context that Stop and Shutdown can end.
func (p *pod) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interrupt = cancel
	return ctx, cancel
}

// stopOthers ends a Create or Start that is going on.
func (p *pod) stopOthers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.interrupt != nil {
		p.interrupt()
	}
}

// write changes the record, on disk first. What cannot be written does not happen.
func (p *pod) write(change func(r *state.Record)) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	r, _ := p.now()
	change(&r)
	if err := p.service.config.Store.Put(&r); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = r
	return nil
}

// save is Request.Save.
func (p *pod) save(_ context.Context, private any) error {
	data, err := json.Marshal(private)
	if err != nil {
		return fmt.Errorf("private state of sandbox %q: %w: %w", p.id, err, errdefs.ErrInvalidArgument)
	}
	if p.isGone() {
		return fmt.Errorf("sandbox %q was deleted: %w", p.id, errdefs.ErrNotFound)
	}
	return p.write(func(r *state.Record) { r.Private = data })
}

// ended records the exit, once. It holds even when the disk does not take it.
func (p *pod) ended(ctx context.Context, e *sandbox.Exit) { p.finish(ctx, state.Stopped, e) }

func (p *pod) finish(ctx context.Context, phase state.Phase, e *sandbox.Exit) {
	exit := &state.Exit{Status: e.Status, At: e.At, Reason: e.Reason}
	if exit.At.IsZero() {
		exit.At = time.Now()
	}
	first := true
	change := func(r *state.Record) {
		if first = r.Exit == nil; first {
			r.Phase, r.Exit = phase, exit
		}
	}
	if err := p.write(change); err != nil {
		log.G(ctx).WithError(err).Error("cannot record the exit of the pod")
		p.writing.Lock()
		p.mu.Lock()
		change(&p.record)
		p.mu.Unlock()
		p.writing.Unlock()
	}
	if first {
		log.G(ctx).WithFields(log.Fields{"status": exit.Status, "reason": exit.Reason}).Info("pod has ended")
		close(p.done)
	}
}

// watch waits for the end of the pod and records it.
func (p *pod) watch() {
	if p.service.begin() != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.service.ctx)
	watched := make(chan struct{})
	p.mu.Lock()
	p.unwatch, p.watched = cancel, watched
	sb := p.sandbox
	p.mu.Unlock()
	go func() {
		defer p.service.work.Done()
		defer close(watched)
		defer cancel()
		ctx := p.logger(ctx)
		var exit *sandbox.Exit
		err := guard(ctx, "wait", func() (err error) {
			exit, err = sb.Wait(ctx)
			return err
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil || exit == nil {
			exit = &sandbox.Exit{Status: statusUnknown, Reason: fmt.Sprintf("its end was not seen: %v", err)}
		}
		p.ended(ctx, exit)
	}()
}

// logger makes a context whose log lines name the sandbox.
func (p *pod) logger(ctx context.Context) context.Context {
	return log.WithLogger(ctx, log.G(ctx).WithFields(log.Fields{"sandbox_id": p.id, "kind": p.service.sandboxer.Kind()}))
}

// guard calls into the kind; a panic there becomes an error.
func guard(ctx context.Context, what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.G(ctx).WithField("stack", string(debug.Stack())).Errorf("%s: panic: %v", what, v)
			err = fmt.Errorf("%s: panic: %v: %w", what, v, errdefs.ErrInternal)
		}
	}()
	return f()
}

// detach makes a context for work that must not end because its caller went away.
func detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

// bound gives a context a deadline if it has none.
func bound(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}
