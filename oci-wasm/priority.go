package ociwasm

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"
)

// lowest is the nice value of compilations that nobody waits for.
const lowest = 19

// WithLowPriority marks compilations that are asked for with the context as ones that
// nobody waits for: they get what processor time is left over, and take no place
// among the compilations that run at once; ask for one at a time. As soon as
// somebody else asks for the same artifact, its compilation is like any other.
func WithLowPriority(ctx context.Context) context.Context {
	return context.WithValue(ctx, priorityKey{}, &priority{low: true})
}

// Promote makes the compilation of k a usual one if it is under way, at low priority:
// for who has something else meanwhile, and does not wait.
func (c *Cache) Promote(k Key) {
	name, err := k.name()
	if err != nil {
		return // nobody compiles it
	}
	c.mu.Lock()
	f := c.flights[name]
	c.mu.Unlock()
	if f != nil {
		f.priority.raise()
	}
}

type priorityKey struct{}

// priorityOf is nil where nothing was said.
func priorityOf(ctx context.Context) *priority {
	p, _ := ctx.Value(priorityKey{}).(*priority)
	return p
}

// priority is that of one compilation; nil is the usual one.
type priority struct {
	mu  sync.Mutex // guards the fields below
	low bool
	// group is the compiler's process group, 0 while there is none: its processes
	// all have another nice value at once, which threads have each their own of.
	group int
}

func (p *priority) isLow() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.low
}

// raise makes the compilation a usual one.
func (p *priority) raise() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.low && p.group != 0 {
		_ = unix.Setpriority(unix.PRIO_PGRP, p.group, 0) // without the right to it, it only takes longer
	}
	p.low = false
}

// started tells of the compiler's process group, ended that it must not be touched
// any more.
func (p *priority) started(group int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group = group
	if p.low {
		_ = unix.Setpriority(unix.PRIO_PGRP, group, lowest) // may have ended already
	}
}

func (p *priority) ended() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group = 0
}
