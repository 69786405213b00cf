package wasmsandboxer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/net/bpf"

	"blazar/internal/cgroup"
	"blazar/internal/confine"
	"blazar/internal/idrange"
	"blazar/wasmsandboxer/host"
)

// Config of a Sandboxer.
type Config struct {
	// Node is what the host services of all pods share.
	Node *host.Node
	// Binary is the absolute path of wasm-task.
	Binary string
	// WasmEdge says where libwasmedge is, as wasmedgelib.Find takes it.
	WasmEdge string
	// Sockets is a root-only directory for the sockets of all pods; short, because
	// a socket's path has 107 bytes at most.
	Sockets string
	// IDs hands out a user and group for each pod.
	IDs *idrange.Allocator
	// CgroupParent is for pods that name none.
	CgroupParent string
	// MemoryOverhead is what the pod's cgroup gets beyond the memory that the pod's
	// containers may use, in bytes, where the pod names no overhead itself.
	MemoryOverhead int64
	// Prepared is how many wasm-tasks are started before there are pods for them; 0 for
	// none.
	Prepared int
	// Linux runs containers that are no WebAssembly; nil where there are none to be.
	Linux LinuxRunner
	// LogLevel is what wasm-task logs at.
	LogLevel string
}

// Defaults of Config.
const (
	DefaultCgroupParent   = "/blazar"
	DefaultMemoryOverhead = 128 << 20
)

// Sandboxer makes wasm pods. Safe for concurrent use.
type Sandboxer struct {
	config Config
	filter []bpf.RawInstruction
	pool   *pool
	// tasks opens what a prepared task moves itself with (cgroup.Group.Tasks).
	tasks func(*cgroup.Group) ([]*os.File, error)

	mu   sync.Mutex // guards pods
	pods map[*pod]struct{}
}

// New checks the configuration and makes a Sandboxer.
func New(c Config) (*Sandboxer, error) {
	if c.Node == nil || c.IDs == nil || !filepath.IsAbs(c.Binary) {
		return nil, fmt.Errorf("wasm sandboxer: a node, an id allocator and the absolute path of wasm-task are required (it is %q): %w",
			c.Binary, errdefs.ErrInvalidArgument)
	}
	if c.CgroupParent == "" {
		c.CgroupParent = DefaultCgroupParent
	}
	if c.MemoryOverhead == 0 {
		c.MemoryOverhead = DefaultMemoryOverhead
	}
	if err := os.MkdirAll(c.Sockets, 0o700); err != nil {
		return nil, fmt.Errorf("sockets of wasm pods: %w", err)
	}
	if err := os.Chmod(c.Sockets, 0o700); err != nil {
		return nil, fmt.Errorf("sockets of wasm pods: %w", err)
	}
	filter, err := confine.Filter(confine.FilterOptions{})
	if err != nil {
		return nil, fmt.Errorf("seccomp filter of wasm-task: %w", err)
	}
	s := &Sandboxer{config: c, filter: filter, pods: map[*pod]struct{}{}, tasks: (*cgroup.Group).Tasks}
	s.pool = newPool(s, c.Prepared)
	return s, nil
}

// Close lets go of the pods, which run on. Nothing is asked of the Sandboxer or its
// pods afterwards.
func (s *Sandboxer) Close() {
	s.mu.Lock()
	pods := s.pods
	s.pods = nil
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for p := range pods {
		if err := p.release(ctx); err != nil {
			log.G(p.ctx).WithError(err).Warn("leaving a pod")
		}
	}
	s.pool.close() // after the last pod has left its cgroup
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
