package runcsandboxer

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
)

// Config of a Sandboxer.
type Config struct {
	// Reaper is the absolute path of pod-reaper.
	Reaper string
	// TaskSocket is the task server's, where containerd reaches it.
	TaskSocket string
	// Tasks is how the daemon reaches it; nil where it cannot.
	Tasks Tasks
	// CgroupParent is for pods that name none.
	CgroupParent string
	// UnprivilegedPorts lets processes without privilege listen on ports below 1024,
	// UnprivilegedPing use ICMP sockets, in pods with a network namespace of their own
	// that do not say otherwise. containerd's own sandboxer does both by default.
	UnprivilegedPorts, UnprivilegedPing bool
}

// Tasks is the task server, as far as the daemon asks it for anything.
type Tasks interface {
	// Ready says whether it answers, or what to do.
	Ready(ctx context.Context) error
	// KillPod ends and deletes all containers of a pod.
	KillPod(ctx context.Context, pod string) error
}

// DefaultCgroupParent is Config.CgroupParent's default.
const DefaultCgroupParent = "/blazar"

// Sandboxer makes pods of Linux containers. Safe for concurrent use.
type Sandboxer struct {
	config Config

	mu   sync.Mutex // guards pods
	pods map[*pod]struct{}
}

// New checks the configuration and makes a Sandboxer.
func New(c Config) (*Sandboxer, error) {
	const longest = 107 // sun_path of unix(7), without the final zero
	switch {
	case !filepath.IsAbs(c.Reaper):
		return nil, fmt.Errorf("runc sandboxer: the path of pod-reaper, %q, is not absolute: %w", c.Reaper, errdefs.ErrInvalidArgument)
	case !filepath.IsAbs(c.TaskSocket) || len(c.TaskSocket) > longest:
		return nil, fmt.Errorf("runc sandboxer: task socket %q is not absolute or has more than %d bytes: choose a shorter state directory: %w",
			c.TaskSocket, longest, errdefs.ErrInvalidArgument)
	}
	if c.CgroupParent == "" {
		c.CgroupParent = DefaultCgroupParent
	}
	return &Sandboxer{config: c, pods: map[*pod]struct{}{}}, nil
}

// Close lets go of the pods, which run on. Nothing is asked of the Sandboxer or its
// pods afterwards.
func (s *Sandboxer) Close() {
	s.mu.Lock()
	pods := s.pods
	s.pods = nil
	s.mu.Unlock()
	for p := range pods {
		if err := p.release(); err != nil {
			log.L.WithField("sandbox_id", p.r.ID).WithError(err).Warn("leaving a pod")
		}
	}
}

// add and remove keep the list of pods to let go of.
func (s *Sandboxer) add(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pods != nil {
		s.pods[p] = struct{}{}
	}
}

func (s *Sandboxer) remove(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, p)
}
