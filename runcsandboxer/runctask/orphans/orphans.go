// Package orphans reaps the children that this process was given because their
// parents ended (PR_SET_CHILD_SUBREAPER, prctl(2)), and leaves alone those that
// somebody here waits for or is about to.
//
// A process that the OCI runtime started and left to us may have ended before the
// runtime has said which pid it has. So calls of the runtime are announced: a child is
// reaped when it had ended before every call that is still going on began. Processes
// whose pid is known have owners, who hold them by pidfds (package proc) and reap them.
package orphans

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// delay is how long ended orphans may wait, and how long a child's owner has to reap
// it before its end is looked at again.
const delay = 200 * time.Millisecond

// Reaper knows the calls that are going on. Safe for concurrent use.
type Reaper struct {
	mu    sync.Mutex // guards the fields below
	next  uint64
	calls map[uint64]struct{}
	owned map[int]struct{}
	// seen says, of children that have ended, before which calls that was.
	seen map[int]uint64
}

// New makes this process the reaper of its descendants.
func New() (*Reaper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	return &Reaper{calls: map[uint64]struct{}{}, owned: map[int]struct{}{}, seen: map[int]uint64{}}, nil
}

// Begin announces a call that may leave a process to us; end says that the process, if
// there is one, is held by a pidfd or of no interest.
func (r *Reaper) Begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.next
	r.next++
	r.calls[n] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.calls, n)
	}
}

// Own leaves a process to the caller, who makes it known within a call, until Disown.
func (r *Reaper) Own(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owned[pid] = struct{}{}
}

// Disown ends Own, once the process is reaped or of no interest any more.
func (r *Reaper) Disown(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, pid)
}

// Run reaps until ctx ends. wake tells of SIGCHLD.
func (r *Reaper) Run(ctx context.Context, wake <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		for again := true; again; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(delay):
			}
			again = r.sweep()
		}
	}
}

// sweep reaps what it may; again says that something is left that has ended.
func (r *Reaper) sweep() (again bool) {
	for {
		pid := ended()
		if pid == 0 {
			r.mu.Lock()
			clear(r.seen)
			r.mu.Unlock()
			return false
		}
		if !r.ripe(pid) {
			return true
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // its owner may have been faster
		r.mu.Lock()
		delete(r.seen, pid)
		r.mu.Unlock()
	}
}

// ripe says whether a child ended before all calls that are going on, and an earlier
// sweep has seen it already, so that an owner would have reaped it.
func (r *Reaper) ripe(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.owned[pid]; ok {
		return false
	}
	before, ok := r.seen[pid]
	if !ok {
		r.seen[pid] = r.next
		return false
	}
	for n := range r.calls {
		if n < before {
			return false
		}
	}
	return true
}
