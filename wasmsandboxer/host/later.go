package host

import (
	"context"
	"sync"
	"time"
)

// What waits to be compiled later: on one node, and of one pod. What failed is not
// tried again for laterAgain: a guest that starts over and over would have it compiled
// for ever.
const (
	maxLater      = 256
	maxLaterOfPod = 4
	laterAgain    = 10 * time.Minute
)

// later is the compilations that nobody waits for: one at a time on a node, each once.
// The zero value is ready.
type later struct {
	mu sync.Mutex // guards the fields below
	// known is what waits, runs, or failed, by name: the time is when it may be tried
	// again, zero while it waits or runs.
	known map[string]time.Time
	turn  chan struct{} // holds a token while one runs
}

// do calls compile in the background, as work of that pod, whose end ends its context;
// compile says whether it went well. Where there is nothing to be done, or too much,
// drop is called instead.
func (l *later) do(pod *compiling, name string, compile func(context.Context) bool, drop func()) {
	if !l.add(pod, name) {
		drop()
		return
	}
	pod.work.Go(func() {
		var again time.Time // at once
		defer func() { l.done(pod, name, again) }()
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		case <-pod.ctx.Done():
		}
		if pod.ctx.Err() != nil {
			drop()
			return
		}
		if !compile(pod.ctx) && pod.ctx.Err() == nil {
			again = time.Now().Add(laterAgain)
		}
	})
}

// add says whether there is something to do, and room for it.
func (l *later) add(pod *compiling, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known, l.turn = map[string]time.Time{}, make(chan struct{}, 1)
	}
	if again, ok := l.known[name]; ok && (again.IsZero() || time.Now().Before(again)) {
		return false
	}
	if len(l.known) >= maxLater {
		for n, again := range l.known {
			if !again.IsZero() {
				delete(l.known, n)
			}
		}
	}
	if len(l.known) >= maxLater || pod.later >= maxLaterOfPod {
		return false
	}
	l.known[name] = time.Time{}
	pod.later++
	return true
}

func (l *later) done(pod *compiling, name string, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pod.later--
	if again.IsZero() {
		delete(l.known, name)
	} else {
		l.known[name] = again
	}
}
