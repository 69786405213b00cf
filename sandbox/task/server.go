package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
)

// Server serves the Task API over a Runtime. Safe for concurrent use.
type Server struct {
	runtime Runtime
	options Options
	events  *queue

	// ctx lives until Close; what goes on between requests runs under it.
	ctx    context.Context
	cancel context.CancelFunc
	// work counts goroutines and requests.
	work sync.WaitGroup

	mu sync.Mutex // guards the fields below, never held during a call to the runtime
	// containers by id; the value is nil while the container is being created.
	containers map[string]*container
	closed     bool
}

// NewServer makes a server; Close ends it.
func NewServer(r Runtime, o Options) *Server {
	o = o.withDefaults()
	s := &Server{runtime: r, options: o, containers: map[string]*container{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.events = newQueue(o)
	return s
}

// Close ends the server's goroutines, after the events that wait were handed on or
// ctx ended; blocked requests get errdefs.ErrUnavailable. Containers are left as
// they are. An error says that the Runtime did not come back from a call.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.work.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("a call to the %s runtime is still going on: %w", s.options.Runtime, ctx.Err())
	}
	return errors.Join(err, s.events.close(ctx))
}

// begin counts a piece of work, unless the server is closed.
func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("the task server is going down: %w", errdefs.ErrUnavailable)
	}
	s.work.Add(1)
	return nil
}

// spawn runs f in a goroutine that Close waits for; not after Close.
func (s *Server) spawn(f func(ctx context.Context)) {
	if s.begin() != nil {
		return
	}
	go func() {
		defer s.work.Done()
		f(s.ctx)
	}()
}

// detach makes a context for work that must not end because its caller went away.
func (s *Server) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.options.CallTimeout)
}

// container finds a container that was created.
func (s *Server) container(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("container %q: %w", id, errdefs.ErrNotFound)
}

// process finds a container's first process, or one that Exec added.
func (s *Server) process(id, execID string) (*process, error) {
	c, err := s.container(id)
	if err != nil {
		return nil, err
	}
	return c.process(execID)
}

// reserve takes an id for a container that is being created.
func (s *Server) reserve(id string) error {
	if err := identifiers.Validate(id); err != nil {
		return fmt.Errorf("container id: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.containers[id]; ok {
		return fmt.Errorf("container %q: %w", id, errdefs.ErrAlreadyExists)
	}
	s.containers[id] = nil
	return nil
}

// put fills a reserved id, or gives it back when c is nil.
func (s *Server) put(id string, c *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != nil {
		s.containers[id] = c
		return
	}
	delete(s.containers, id)
}

// remove forgets a deleted container.
func (s *Server) remove(id string) {
	s.mu.Lock()
	delete(s.containers, id)
	idle := len(s.containers) == 0
	s.mu.Unlock()
	if idle && s.options.OnIdle != nil {
		s.spawn(func(context.Context) { s.options.OnIdle() })
	}
}

// notImplemented names an ability that the runtime lacks.
func (s *Server) notImplemented(ability string) error {
	return fmt.Errorf("%s is not supported by the %s runtime: %w", ability, s.options.Runtime, errdefs.ErrNotImplemented)
}

// guard calls into the runtime; a panic there becomes an error.
func guard(ctx context.Context, what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.G(ctx).WithField("stack", string(debug.Stack())).Errorf("%s: panic: %v", what, p)
			err = fmt.Errorf("%s: panic: %v: %w", what, p, errdefs.ErrInternal)
		}
	}()
	return f()
}
