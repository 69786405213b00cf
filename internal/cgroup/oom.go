package cgroup

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
)

// OOM tells of memory running out in the group: the channel yields once per event,
// or once for several that nobody took in time. It is closed when ctx ends, when
// the group is deleted, or at its end by anybody else.
// errdefs.ErrNotImplemented where the host has no memory controller.
func (g *Group) OOM(ctx context.Context) (<-chan struct{}, error) {
	f, check, err := g.b.events()
	if err != nil {
		return nil, fmt.Errorf("memory events of cgroup %s: %w", g.state.Path, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		_ = f.Close() // never used
		return nil, fmt.Errorf("memory events of cgroup %s: %w", g.state.Path, errdefs.ErrNotFound)
	}
	ch := make(chan struct{}, 1)
	closed := make(chan struct{})
	g.watchers.Go(func() { // wakes the one below
		select {
		case <-ctx.Done():
		case <-g.stop:
		case <-closed:
		}
		_ = f.Close() // only read from
	})
	g.watchers.Go(func() {
		defer close(ch)
		defer close(closed)
		buf := make([]byte, 4096) // one eventfd counter, or some inotify events
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			n, ok := check(buf[:n])
			if !ok {
				return
			}
			if n > 0 {
				select {
				case ch <- struct{}{}:
				default:
				}
			}
		}
	})
	return ch, nil
}
