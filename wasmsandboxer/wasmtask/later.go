package wasmtask

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"blazar/engines/wasip1"
	"blazar/wasmsandboxer/hostapi"
)

// laterPreopens are the directories of one guest in a container whose files are
// mounted when it uses them. With the first that it uses all are opened, so that none
// depends on what it does to the files before it uses another.
type laterPreopens struct {
	c    *container
	turn chan struct{} // holds a token: who has it may change what follows
	open []wasip1.Preopen
	done bool
}

func newLaterPreopens(c *container) *laterPreopens {
	return &laterPreopens{c: c, turn: make(chan struct{}, 1)}
}

// list describes them for the WASI layer.
func (l *laterPreopens) list() []wasip1.Preopen {
	var all []wasip1.Preopen
	for i, p := range l.c.prepared.Preopens {
		all = append(all, wasip1.Preopen{
			Guest: p.Guest, ReadOnly: p.ReadOnly,
			Open: func(ctx context.Context) (*os.File, error) { return l.take(ctx, i) },
		})
	}
	return all
}

// take gives directory i away, once.
func (l *laterPreopens) take(ctx context.Context, i int) (*os.File, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.open == nil && !l.done {
		if err := l.openAll(ctx); err != nil {
			return nil, err
		}
	}
	if l.done || l.open[i].Dir == nil {
		return nil, fmt.Errorf("directory %s of the guest was closed: %w", l.c.prepared.Preopens[i].Guest, errdefs.ErrFailedPrecondition)
	}
	f := l.open[i].Dir
	l.open[i].Dir = nil
	return f, nil
}

func (l *laterPreopens) openAll(ctx context.Context) error {
	_, err := l.c.rt.host.Call(ctx, hostapi.MethodFiles, &hostapi.FilesRequest{Container: l.c.id}, nil)
	if err != nil {
		return err
	}
	l.open, err = openPreopens(l.c.prepared.Rootfs, l.c.prepared.Preopens)
	return err
}

// close closes those that were not given away, when the guest has ended: whoever still
// has the turn was told so.
func (l *laterPreopens) close() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.done = true
	closePreopens(l.open)
	l.open = nil
}
