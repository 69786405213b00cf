package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// Relay copies streams, one goroutine each, and owns what it copies to and from.
// Wait for the output, then Close. Safe for concurrent use.
type Relay struct {
	output, input sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	files  []io.Closer
	closed bool
	err    error
}

// Output copies what a process writes until it ends; Wait waits for that.
func (r *Relay) Output(to io.WriteCloser, from io.ReadCloser) {
	r.copy(&r.output, to, from, nil)
}

// Input copies what a process reads until it ends, and then calls atEnd, if there is
// one, to tell the process. Wait does not wait for it: it ends with Close.
func (r *Relay) Input(to io.WriteCloser, from io.ReadCloser, atEnd func()) {
	r.copy(&r.input, to, from, atEnd)
}

func (r *Relay) copy(wg *sync.WaitGroup, to io.WriteCloser, from io.ReadCloser, atEnd func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_, _ = to.Close(), from.Close() // nobody is there to be told
		return
	}
	r.files = append(r.files, to, from)
	wg.Go(func() {
		_, err := io.Copy(to, from)
		r.failed(err)
		if atEnd != nil {
			atEnd()
		}
	})
}

// failed keeps the first error that is no ordinary end: a pty whose last slave was
// closed reads EIO.
func (r *Relay) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ordinary := err == nil || r.closed || errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrClosed)
	if !ordinary && r.err == nil {
		r.err = err
	}
}

// Wait returns when all output was handed on, or with an error when ctx has ended
// (because nobody reads).
func (r *Relay) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with Close at the latest
		defer close(done)
		r.output.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("output that nobody reads is left: %w", ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close closes every file, which ends the copying, and waits for that. Idempotent.
func (r *Relay) Close() error {
	r.mu.Lock()
	files := r.files
	r.files, r.closed = nil, true
	r.mu.Unlock()
	var err error
	for _, f := range files {
		if cerr := f.Close(); !errors.Is(cerr, os.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}
	r.output.Wait()
	r.input.Wait()
	return err
}
