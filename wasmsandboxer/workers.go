package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/wasmsandboxer/host"
	"blazar/wasmsandboxer/hostapi"
)

// workers are those of a pod, for its host service.
type workers struct{ p *pod }

var _ host.Workers = workers{}

// Start takes an id range for the worker, records it and starts it.
func (w workers) Start(ctx context.Context, q host.Worker) (_ uint32, _ *os.File, err error) {
	uid, err := w.p.s.config.IDs.Take()
	if err != nil {
		return 0, nil, err
	}
	rec := record{UID: uid, Why: q.Why}
	n := newWorker(w.p, q.Container, rec, q.Resources)
	n.worker.turn <- struct{}{} // nobody knows it yet
	if err := w.p.addWorker(n); err != nil {
		n.cancel()
		w.p.s.remove(n)
		w.p.s.config.IDs.Release(uid)
		return 0, nil, err
	}
	defer func() {
		n.worker.leave()
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err = errors.Join(err, n.erase(ctx))
		}
	}()
	if err := n.r.Save(ctx, rec); err != nil {
		return 0, nil, err
	}
	started, task, err := n.run(ctx)
	if err != nil {
		return 0, nil, err
	}
	w.p.resize(ctx)
	return started.Pid, task, nil
}

// Kill ends the worker and says how it ended.
func (w workers) Kill(ctx context.Context, container string) (*hostapi.KillReply, *os.File, error) {
	n := w.p.workerOf(container)
	if n == nil {
		return nil, nil, fmt.Errorf("container %s has no worker: %w", container, errdefs.ErrNotFound)
	}
	// Who asks has lost the connection, mostly because the worker has just ended: how
	// is told by its end, which is about to be noticed.
	own, cancel := context.WithTimeout(ctx, ownEnd)
	_, err := n.Wait(own)
	cancel()
	if err != nil {
		if err := n.end(ctx); err != nil {
			return nil, nil, err
		}
	}
	e, err := n.Wait(ctx)
	if err != nil {
		return nil, nil, err
	}
	reply := &hostapi.KillReply{Reason: e.Reason, OOM: n.oomKilled()}
	if reply.Reason == "" {
		reply.Reason = "wasm-task was killed"
	}
	if s := n.hostService(); s != nil {
		return reply, s.Message(ctx), nil
	}
	return reply, nil, nil
}

// ownEnd is how long a worker that was lost may take to end by itself.
const ownEnd = 100 * time.Millisecond

// Remove ends the worker and takes all that it has.
func (w workers) Remove(ctx context.Context, container string) error {
	n := w.p.workerOf(container)
	if n == nil {
		return nil
	}
	return n.erase(ctx)
}

// addWorker makes the worker known, unless the container has one or the pod ends.
func (p *pod) addWorker(n *pod) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopping || p.exit != nil:
		return fmt.Errorf("the pod ends: %w", errdefs.ErrUnavailable)
	case p.workers[n.worker.container] != nil:
		return fmt.Errorf("container %s has a worker: %w", n.worker.container, errdefs.ErrAlreadyExists)
	}
	p.workers[n.worker.container] = n
	return nil
}

// workerOf is nil for a container without one.
func (p *pod) workerOf(container string) *pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workers[container]
}

func (p *pod) allWorkers() []*pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.workers))
}

// stopWorkers kills all of them at once.
func (p *pod) stopWorkers(ctx context.Context) error {
	return p.eachWorker(func(n *pod) error { return n.end(ctx) })
}

// deleteWorkers takes all that they have.
func (p *pod) deleteWorkers(ctx context.Context) error {
	return p.eachWorker(func(n *pod) error { return n.erase(ctx) })
}

func (p *pod) eachWorker(do func(*pod) error) error {
	all := p.allWorkers()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, n := range all {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// workersBelow counts those whose memory is also the pod's cgroup's. p.mu is held.
func (p *pod) workersBelow() (n int64) {
	for _, w := range p.workers {
		w.mu.Lock()
		if p.group != nil && w.group != nil && p.group.Has(w.group) {
			n++
		}
		w.mu.Unlock()
	}
	return n
}

// resize gives the pod's cgroup what its workers cost. That it cannot be is no reason
// to fail a container: the limit is a backstop.
func (p *pod) resize(ctx context.Context) {
	p.mu.Lock()
	g, r := p.group, p.resources()
	p.mu.Unlock()
	if g != nil && r != nil && r.Memory != nil {
		r.CPU = nil
		if err := g.Update(ctx, r); err != nil && !errdefs.IsNotFound(err) {
			log.G(ctx).WithError(err).Warn("the memory limit of the pod does not follow its workers")
		}
	}
}

// hostService is nil for a pod that does not run.
func (p *pod) hostService() *host.Service {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.service
}

// knowWorkers makes the workers of the record known, before anybody can ask for them:
// whoever does waits for their turns, which the caller gets.
func (p *pod) knowWorkers(ctx context.Context) []*pod {
	for container, rec := range p.record.Workers {
		if err := p.s.config.IDs.Reserve(rec.UID); err != nil {
			log.G(ctx).WithError(err).Warn("two workers have the same user id")
		}
		n := newWorker(p, container, rec, nil)
		n.worker.turn <- struct{}{}
		p.workers[container] = n
	}
	return p.allWorkers()
}

// recoverWorkers finds them again, once the pod was. One that cannot be used any more
// is removed with its container or its pod.
func (p *pod) recoverWorkers(ctx context.Context, known []*pod) error {
	for _, n := range known {
		if err := n.recover(ctx); err != nil {
			return err
		}
		if n.record.Process == nil {
			n.lost("blazar serve ended while wasm-task was being started")
		}
		select {
		case <-p.ended: // which the worker has noticed
			if err := n.Stop(ctx); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}
