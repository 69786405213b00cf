package wasip1

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
)

// later is a preopen that is opened when the guest uses it for the first time: most
// guests never do, only their libc looks at the name.
type later struct {
	what string
	open func(ctx context.Context) (*os.File, error)
}

// opened opens the file of a descriptor that was to be opened later. Every function
// calls it that needs more of a directory than its name, type and rights. What
// failed is tried again at the next use.
func (s *System) opened(d *descriptor) Errno {
	if d.later == nil {
		return ErrnoSuccess
	}
	f, err := s.openLater(d.later)
	if err == nil {
		err = d.become(f)
	}
	switch {
	case err == nil:
		return ErrnoSuccess
	case s.Done():
		return ErrnoCanceled
	}
	log.L.WithError(err).Warn("wasip1: " + d.later.what + " cannot be opened")
	return ErrnoIo
}

// openLater waits for the file, or for Kill: an Open that takes no notice of its
// context is left behind then.
func (s *System) openLater(l *later) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan result)
	go func() { // ends with Open
		f, err := l.open(ctx)
		select {
		case done <- result{f, err}:
		case <-ctx.Done():
			if err == nil {
				_ = f.Close() // nothing was read
			}
		}
	}()
	select {
	case r := <-done:
		return r.file, r.err
	case <-s.killed:
		return nil, context.Canceled
	}
}

// become makes f, which was to be opened later, the directory that owner is. owner
// is closed after an error.
func (f *file) become(owner *os.File) error {
	is, err := given(f.later.what, owner)
	if err == nil && is.kind != filetypeDirectory {
		err = fmt.Errorf("%s is not a directory: %w", f.later.what, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		_ = owner.Close() // nothing was read
		return err
	}
	f.fd, f.owner, f.blocking, f.later = is.fd, is.owner, is.blocking, nil
	return nil
}
