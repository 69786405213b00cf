package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/internal/confine"
	"blazar/internal/proc"
	"blazar/internal/wasmedgelib"
	"blazar/sandbox"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/podspec"
)

// errUnusable says that a prepared task cannot become the pod, but another may.
var errUnusable = errors.New("the prepared wasm-task has ended")

// settleTimeout bounds what is left to do when a pod has got its prepared task.
const settleTimeout = 20 * time.Second

// choosePrepared takes a prepared task for a pod where it can have one; nil, and why,
// where it cannot.
func (s *Sandboxer) choosePrepared(r *sandbox.Request) (*prepared, string) {
	node := s.config.Node
	switch {
	case r.Annotations[podspec.AnnotationPrepared] == "false":
		return nil, "the annotation " + podspec.AnnotationPrepared + " forbids it"
	case podspec.Wanted(wasmedgelib.Engine, r.Annotations, r.RuntimeHandler, node.DefaultEngine, node.Engines.Names()):
		return nil, "its library has to be loaded when wasm-task starts: " + wasmedgelib.Engine
	}
	return s.pool.take()
}

// handOver makes a prepared task the pod's. What is left to do when it returns is done
// meanwhile, by settle. After errUnusable the pod can be started with another task.
func (p *pod) handOver(ctx context.Context, t *prepared) (_ *sandbox.Started, err error) {
	at, h := time.Now(), t.process.Handle()
	defer func() {
		if err != nil {
			err = errors.Join(err, p.s.kill(h), t.process.Close())
		}
	}()
	if t.ended() {
		return nil, errUnusable
	}
	if err := p.endGround(ctx); err != nil {
		return nil, err
	}
	ref := h.Ref()
	if err := p.saveProcess(ctx, &ref); err != nil {
		return nil, err
	}
	tasks, err := p.s.tasks(p.group)
	if err != nil {
		return nil, err
	}
	err = hostapi.SendHello(t.process.Control, p.hello(t.process), tasks...)
	for _, f := range tasks {
		_ = f.Close() // the process has its own
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errUnusable, err), p.saveProcess(ctx, nil))
	}
	p.expectSettled()
	p.adopt(h, t.process.Control)
	itself := len(tasks) > 0 // it moves itself, before it makes a container
	p.work.Go(func() { p.settle(h, itself) })
	return p.started(t.process, at), nil
}

func (p *pod) expectSettled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = make(chan struct{})
}

// saveProcess records that the process is the pod's.
func (p *pod) saveProcess(ctx context.Context, ref *proc.Ref) error {
	p.mu.Lock()
	p.record.Process = ref
	rec := p.record
	p.mu.Unlock()
	return p.r.Save(ctx, rec)
}

// settle moves a prepared task into the pod's cgroup, unless it does that itself, and gives
// it the pod's host name. That takes a while, most of which the kernel waits, and has to be done before a guest
// runs: the host service sees to that, by isSettled. A pod for which it cannot be done
// is ended.
func (p *pod) settle(h *proc.Handle, inside bool) {
	defer close(p.settled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), settleTimeout)
	defer cancel()
	var err error
	if !inside {
		err = p.move(ctx, h.Ref().Pid)
	}
	if name := p.hostname(); err == nil && name != "" {
		err = confine.SetHostname(h.File(), name)
	}
	if err == nil || h.Signal(0) != nil { // nothing is left to be done for one that has ended
		return
	}
	log.G(p.ctx).WithError(err).Error("a prepared wasm-task cannot become the pod, which is ended")
	p.mu.Lock()
	p.unsettled = fmt.Errorf("wasm-task could not become the pod: %w", err)
	p.mu.Unlock()
	if err := h.Signal(unix.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		log.G(p.ctx).WithError(err).Error("it cannot be ended")
	}
}

// move gets the process into the pod's cgroup.
func (p *pod) move(ctx context.Context, pid int) error {
	if p.group.State().Scope != "" {
		return p.group.Adopt(pid)
	}
	return p.group.Add(ctx, pid)
}

// isSettled waits until settle has ended.
func (p *pod) isSettled(ctx context.Context) error {
	select {
	case <-p.settled:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.unsettled
	case <-ctx.Done():
		return fmt.Errorf("wasm-task is still being moved into the pod's cgroup: %w", ctx.Err())
	}
}

// dropTask ends a prepared task that the pod did not come to use.
func (p *pod) dropTask() error {
	p.mu.Lock()
	t := p.task
	p.task = nil
	p.mu.Unlock()
	if t == nil {
		return nil
	}
	return errors.Join(p.s.kill(t.process.Handle()), t.process.Close())
}

// endWaiting ends the prepared task of a pod that a daemon before this one did not come
// to start.
func (p *pod) endWaiting() error {
	ref := p.record.Waiting
	if ref == nil {
		return nil
	}
	h, err := proc.Open(*ref)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(p.s.kill(h), h.Close())
}

// resettle does again what a daemon that was killed may not have come to do.
func (p *pod) resettle(h *proc.Handle) {
	if p.record.Prepared == "" || p.group == nil || p.record.Cold != "" {
		return
	}
	p.expectSettled()
	if in, err := p.group.Holds(h.Ref().Pid); err == nil && in {
		close(p.settled)
		return
	}
	p.settle(h, false)
}
