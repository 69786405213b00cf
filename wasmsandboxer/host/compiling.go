package host

import (
	"context"
	"fmt"
	"sync"

	ociwasm "blazar/oci-wasm"
)

// maxCompiling is how many modules of one pod are compiled at a time: the compilers
// are everybody's, and one pod must not take them all.
const maxCompiling = 2

// compiling is the compilations that one pod waits for.
type compiling struct {
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	later  int // how many wait or run in Node.later, which guards it
}

func newCompiling() *compiling {
	c := &compiling{slots: make(chan struct{}, maxCompiling)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// close waits for what do began, which ends at once.
func (c *compiling) close() {
	c.cancel()
	c.work.Wait()
}

// do calls compile when it is this pod's turn. The turn lasts until compile returns,
// also when ctx has ended before: by hanging up and asking anew nobody gets another.
func (c *compiling) do(ctx context.Context, module string, compile func(context.Context) (*ociwasm.Artifact, error)) (*ociwasm.Artifact, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the compilation of %s: %w", module, context.Cause(ctx))
	}
	type made struct {
		*ociwasm.Artifact
		err error
	}
	done := make(chan made)
	c.work.Go(func() {
		defer func() { <-c.slots }()
		a, err := compile(c.ctx)
		select {
		case done <- made{a, err}:
		case <-ctx.Done():
			if a != nil {
				a.Release() // nobody waits for it any more
			}
		}
	})
	select {
	case m := <-done:
		return m.Artifact, m.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the compilation of %s: %w", module, context.Cause(ctx))
	}
}
