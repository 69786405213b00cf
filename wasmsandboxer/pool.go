package wasmsandboxer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/netns"
)

// When the pool is filled again: once no pod was started for a while, so that pods that
// are being started have the machine for themselves, but not later than refillLatest.
const (
	refillQuiet  = 50 * time.Millisecond
	refillLatest = 500 * time.Millisecond
	// refillRetry is the first pause after a task that could not be prepared, or ended by
	// itself; it doubles up to refillRetryMost.
	refillRetry     = time.Second
	refillRetryMost = time.Minute
)

// pool holds prepared wasm-tasks and makes more in the background.
type pool struct {
	s     *Sandboxer
	size  int
	netns *os.File      // empty, and everybody's
	group *cgroup.Group // of those that have no pod; nil where there can be none

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{} // holds a token when there may be something to do

	mu      sync.Mutex // guards the fields below
	idle    []*prepared
	taken   time.Time // when a pod last came, prepared task or not
	waiting time.Time // since when a task is missing, zero if none is
	hold    time.Time // until when none is prepared, because one has ended by itself
	failed  error     // why the last one could not be prepared
	closed  bool
}

// newPool makes one that is empty until it is begun.
func newPool(s *Sandboxer, size int) *pool {
	p := &pool{s: s, size: size, wake: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *pool) root() string           { return filepath.Join(p.s.config.Sockets, preparedName) }
func (p *pool) dir(name string) string { return filepath.Join(p.root(), name) }

// begin starts filling the pool.
func (p *pool) begin(ctx context.Context) error {
	if p.size <= 0 {
		return nil
	}
	ns, err := netns.Empty()
	if err != nil {
		return fmt.Errorf("network namespace of prepared wasm-tasks: %w", err)
	}
	p.netns = ns
	if p.group, err = p.makeGroup(ctx); err != nil {
		log.G(ctx).WithError(err).Warn("prepared wasm-tasks are in the cgroup of blazar serve until they have a pod")
	}
	p.work.Go(p.fill)
	return nil
}

// take hands out a task that nobody else gets; nil, and why, if there is none.
func (p *pool) take() (*prepared, string) {
	if p.size <= 0 {
		return nil, "none is prepared: wasm.prepared is 0"
	}
	now, err := identify(p.s.config.Binary)
	if err != nil {
		return nil, err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = time.Now()
	defer p.poke()
	for len(p.idle) > 0 {
		t := p.idle[0]
		p.idle = p.idle[1:]
		close(t.given)
		if t.program == now && !t.ended() {
			return t, ""
		}
		if !p.closed {
			p.work.Go(func() { p.drop(t) })
		}
	}
	if p.failed != nil {
		return nil, "none could be prepared: " + p.failed.Error()
	}
	return nil, "none was ready"
}

// poke wakes fill.
func (p *pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default: // it will wake up
	}
}

// drop discards a task and logs what stays.
func (p *pool) drop(t *prepared) {
	if err := p.discard(t); err != nil {
		log.G(p.ctx).WithError(err).Warn("something of a prepared wasm-task stays until the next start of blazar serve")
	}
}

// fill keeps the pool full, one task after the other, until the pool is closed.
func (p *pool) fill() {
	retry := refillRetry
	for p.ctx.Err() == nil {
		pause, wanted := p.pause(time.Now())
		switch {
		case !wanted:
			p.sleep(0)
			continue
		case pause > 0:
			p.sleep(pause)
			continue
		}
		t, err := p.prepare(p.ctx)
		p.mu.Lock()
		p.failed = err
		p.mu.Unlock()
		if err != nil {
			if p.ctx.Err() == nil {
				log.G(p.ctx).WithError(err).Warn("cannot prepare a wasm-task, pods start without")
			}
			p.rest(retry)
			retry = min(2*retry, refillRetryMost)
			continue
		}
		retry = refillRetry
		p.add(t)
	}
}

// pause says whether another task is wanted, and how long it is to be put off.
func (p *pool) pause(now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.size {
		p.waiting = time.Time{}
		return 0, false
	}
	if p.waiting.IsZero() {
		p.waiting = now
	}
	quiet, latest := p.taken.Add(refillQuiet).Sub(now), p.waiting.Add(refillLatest).Sub(now)
	return max(0, min(quiet, latest), p.hold.Sub(now)), true
}

// sleep waits for a poke, and with a duration no longer than that.
func (p *pool) sleep(d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		after = time.After(d)
	}
	select {
	case <-p.ctx.Done():
	case <-p.wake:
	case <-after:
	}
}

// rest waits, whoever pokes.
func (p *pool) rest(d time.Duration) {
	select {
	case <-p.ctx.Done():
	case <-time.After(d):
	}
}

// add gives a task to whoever takes it, and sees to it if it ends before that.
func (p *pool) add(t *prepared) {
	p.mu.Lock()
	p.idle = append(p.idle, t)
	p.mu.Unlock()
	p.work.Go(func() {
		select {
		case <-t.process.Handle().Done():
		case <-t.given:
			return
		case <-p.ctx.Done():
			return
		}
		p.mu.Lock()
		i := slices.Index(p.idle, t)
		if i >= 0 {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.hold = time.Now().Add(refillRetryMost / 4)
		}
		p.mu.Unlock()
		if i < 0 {
			return // somebody has it
		}
		log.G(p.ctx).WithField("pid", t.process.Pid).Warn("a prepared wasm-task has ended by itself")
		p.drop(t)
		p.poke()
	})
}

// close ends the tasks that no pod has.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
	p.mu.Lock()
	idle = append(idle, p.idle...) // one that was just being prepared
	p.idle = nil
	p.mu.Unlock()
	for _, t := range idle {
		p.drop(t)
	}
	if p.group != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		err := p.group.Delete(ctx)
		if err == nil {
			err = os.Remove(filepath.Join(p.root(), groupName))
		}
		if err != nil {
			log.G(ctx).WithError(err).Warn("cgroup of prepared wasm-tasks")
		}
	}
	_ = os.Remove(p.root()) // pods that run on have theirs in it
	if p.netns != nil {
		_ = p.netns.Close() // only a handle
	}
}

// identify says which file the program is now.
func identify(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return identity{
		dev: st.Dev, ino: st.Ino, size: st.Size, modified: st.Mtim, changed: st.Ctim,
	}, nil
}
