// Package controller serves containerd's sandbox Controller API, the service that
// the CRI plugin asks for pods, over a sandbox.Sandboxer.
//
// The shell here owns ids, phases, records, exits and deadlines; the kind owns what
// a pod is. Every call into the kind is made without a lock held; Start, Stop and
// Delete of one sandbox take turns, and Stop and Shutdown interrupt a Create or
// Start that is going on. A panic in a kind becomes an error.
//
// Life cycle: New, Recover once, Register (or Listen and Serve), Close. Close leaves
// the pods running; the next process finds them with Recover.
package controller

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"blazar/sandbox"
)

// Service is the Controller service of one kind. Safe for concurrent use.
type Service struct {
	sandboxer sandbox.Sandboxer
	config    Config

	// ctx lives until Close; watching of pods runs under it.
	ctx    context.Context
	cancel context.CancelFunc
	// work counts goroutines and requests.
	work sync.WaitGroup

	mu     sync.Mutex // guards the fields below, never held during a call to the kind
	pods   map[string]*pod
	closed bool
}

// New makes the service of a kind. Call Recover once before serving.
func New(s sandbox.Sandboxer, c Config) (*Service, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	service := &Service{sandboxer: s, config: c, pods: map[string]*pod{}}
	service.ctx, service.cancel = context.WithCancel(context.Background())
	return service, nil
}

// Close ends what the service owns and leaves the pods running. Blocked Waits get
// errdefs.ErrUnavailable, upon which containerd asks again. An error says that the
// kind did not come back from a call.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a call to kind %s is still going on: %w", s.sandboxer.Kind(), ctx.Err())
	}
}

// begin counts a piece of work, unless the service is closed.
func (s *Service) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("the controller of kind %s is going down: %w", s.sandboxer.Kind(), errdefs.ErrUnavailable)
	}
	s.work.Add(1)
	return nil
}

// pod finds a sandbox that was created.
func (s *Service) pod(id string) (*pod, error) {
	s.mu.Lock()
	p := s.pods[id]
	s.mu.Unlock()
	if p == nil || !p.exists() {
		return nil, fmt.Errorf("sandbox %q: %w", id, errdefs.ErrNotFound)
	}
	return p, nil
}

// lookup finds a sandbox, also one that is still being created; nil if there is none.
func (s *Service) lookup(id string) *pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[id]
}

// add takes an id for a sandbox.
func (s *Service) add(p *pod) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pods[p.id]; ok {
		return fmt.Errorf("sandbox %q: %w", p.id, errdefs.ErrAlreadyExists)
	}
	s.pods[p.id] = p
	return nil
}

func (s *Service) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, id)
}
