package wasmsandboxer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// groundTimeout bounds the groundwork of a pod, which takes a millisecond.
const groundTimeout = 30 * time.Second

// groundwork is what Start needs and Create can begin: the pod's root with the files in
// it, and the cgroup. It is made while containerd writes down that the pod was created.
type groundwork struct {
	done chan struct{}
	err  error // valid after done
	used bool  // by Start
}

// beginGround begins the groundwork; release waits for its end. The root's directory,
// which exists when this returns, tells a later daemon that there may be more.
func (p *pod) beginGround() error {
	if err := os.MkdirAll(p.path(rootName), 0o700); err != nil {
		return err
	}
	g := &groundwork{done: make(chan struct{})}
	p.ground = g
	root := p.task == nil // a prepared task has one
	p.work.Go(func() {
		defer close(g.done)
		ctx, cancel := context.WithTimeout(p.ctx, groundTimeout)
		defer cancel()
		g.err = p.layGround(ctx, root)
	})
	return nil
}

// endGround waits for the groundwork, and does it if nobody has begun it.
func (p *pod) endGround(ctx context.Context) error {
	g := p.ground
	if g == nil || g.used {
		return p.layGround(ctx, true)
	}
	g.used = true
	return g.wait(ctx)
}

// wait waits for the end of what was begun; a nil groundwork has ended.
func (g *groundwork) wait(ctx context.Context) error {
	if g == nil {
		return nil
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// layGround makes root, files and cgroup; the root only if there is none yet.
func (p *pod) layGround(ctx context.Context, root bool) error {
	if err := os.MkdirAll(p.path(rootName), 0o700); err != nil {
		return err
	}
	var group error
	var wg sync.WaitGroup
	wg.Go(func() { group = p.makeCgroup(ctx) })
	var err error
	if root {
		err = mountRoot(filepath.Dir(p.path(rootName)))
	}
	if err == nil {
		err = p.writeFiles()
	}
	wg.Wait()
	return errors.Join(err, group)
}
