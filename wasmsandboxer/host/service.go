package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/engines"
	"blazar/internal/cgroup"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/podspec"
)

// Node is what the services of all pods share. Its fields do not change.
type Node struct {
	Containers Containers
	Engines    *engines.Registry
	// DefaultEngine is the configured engine, empty for the best one.
	DefaultEngine string
	// Cache holds and makes artifacts.
	Cache *ociwasm.Cache
	// Events takes the events of pods.
	Events Forwarder
	// ContainerdState is containerd's state directory.
	ContainerdState string
	// RefuseUnmapped refuses volumes whose file system cannot be idmapped, instead of
	// mounting them with their owners as they are.
	RefuseUnmapped bool
	// BestEffort mounts a root file system that cannot be idmapped with its owners as
	// they are, instead of refusing the container.
	BestEffort bool
	// FirstTier is the configured value of podspec's FirstTier; empty is auto.
	FirstTier string

	digests ociwasm.DigestMemo
	images  imageMemo
	roots   rootMemo
	pinned  atomic.Int64 // mounts that were made and are not attached yet
	later   later
}

// Forwarder hands events to containerd.
type Forwarder interface {
	Forward(ctx context.Context, namespace, topic, typeName string, value []byte) error
}

// Pod is the pod of one Service.
type Pod struct {
	ID, Namespace string
	// Root is the pod's root directory on the host, Scratch an empty private one,
	// Notes one for what is to be remembered of its containers.
	Root, Scratch, Notes string
	// UID is the pod's user and group.
	UID uint32
	// NetNS is the path of the pod's network namespace, empty for the host's.
	NetNS string
	// Group is the pod's cgroup, nil if it has none.
	Group          *cgroup.Group
	Annotations    map[string]string
	RuntimeHandler string
	// WasmEdge says that its wasm-task was started with libwasmedge.
	WasmEdge bool
	Config   *runtime.PodSandboxConfig
	// Settled waits until the pod's process is wholly the pod's, before which no guest may
	// run; nil if it is from the start.
	Settled func(ctx context.Context) error
	// Workers runs containers in processes of their own; nil if there are none to be.
	Workers Workers
	// Linux runs those that are no WebAssembly; nil if there are none to be.
	Linux Linux
	// MemoryOverhead is what the cgroup of a worker gets beyond the container's memory
	// limit, in bytes.
	MemoryOverhead int64

	// Container makes it the service of that container's worker: no other container is
	// answered for, and Root, UID and Group are the worker's. Parent is then the service
	// of the pod, which keeps what is known of the container.
	Container string
	Parent    *Service
}

// Service answers the wasm-task of one pod. Close it after the last request.
type Service struct {
	node   *Node
	pod    Pod
	fifos  fifoDirs
	idmaps idmaps
	ptys   ptys

	compiling *compiling
	reading   chan struct{} // holds a token while a module that is a file is read

	notes sync.Mutex // guards the files of what is known of containers

	mu         sync.Mutex // guards the fields below
	containers map[string]*container
	artifacts  artifacts
	history    history
}

var _ hostapi.Handler = (*Service)(nil)

// container is a prepared container.
type container struct {
	// turn holds one token: who has it may change what is mounted.
	turn chan struct{}
	// record is containerd's, nil until it was asked for.
	record *Container
	// layers names the read-only layers of its files, empty if not known any more.
	layers string
	// later is what its files are to be made of; nil if they are mounted, or if another
	// daemon put it off.
	later *planned
	// unlimited says that its threads have no group.
	unlimited bool
}

// Directories below a pod's root.
const (
	containersDir = "c"
	artifactsDir  = "a"
	filesDir      = "etc"
)

// New makes the service of a pod whose root is mounted. It remembers the containers
// that a service before it prepared.
func New(n *Node, p Pod) *Service {
	s := &Service{
		node: n, pod: p, fifos: newFIFODirs(n.ContainerdState),
		containers: map[string]*container{}, compiling: newCompiling(), reading: make(chan struct{}, 1),
	}
	s.recall()
	if p.Container != "" {
		s.remember(p.Container) // whatever daemon prepared it
	}
	if p.Parent != nil {
		s.compiling.slots = p.Parent.compiling.slots // a pod has no more for having workers
	}
	return s
}

// Handle answers one request.
func (s *Service) Handle(ctx context.Context, method string, body []byte) (any, []*os.File, error) {
	ctx = log.WithLogger(ctx, log.G(ctx).WithField("sandbox_id", s.pod.ID))
	switch method {
	case hostapi.MethodPrepare:
		var q hostapi.PrepareRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return s.settled(ctx, func() (any, []*os.File, error) { return s.prepare(ctx, &q) })
	case hostapi.MethodFiles:
		var q hostapi.FilesRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return nil, nil, s.files(ctx, &q)
	case hostapi.MethodExec:
		var q hostapi.ExecRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return s.exec(ctx, &q)
	case hostapi.MethodUpdate:
		var q hostapi.UpdateRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return s.update(ctx, &q)
	case hostapi.MethodRemove:
		var q hostapi.RemoveRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return nil, nil, s.remove(ctx, q.Container)
	case hostapi.MethodReport:
		var q hostapi.ReportRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return nil, nil, s.report(&q)
	case hostapi.MethodKill:
		var q hostapi.KillRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return s.kill(ctx, &q)
	case hostapi.MethodLimit:
		var q hostapi.LimitRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return nil, nil, s.limit(ctx, &q)
	case hostapi.MethodEvent:
		var q hostapi.EventRequest
		if err := hostapi.Decode(body, &q); err != nil {
			return nil, nil, err
		}
		return nil, nil, s.event(ctx, &q)
	}
	return nil, nil, fmt.Errorf("method %q: %w", clip(method), errdefs.ErrNotImplemented)
}

// Close gives up what the pod used of the cache. Its mounts go with its root.
func (s *Service) Close() {
	s.idmaps.close()
	s.ptys.close()
	s.compiling.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers { // nobody asks any more, hence nobody has the turn
		c.forgetLater()
	}
	s.artifacts.release()
}

// enter takes the container's turn; leave gives it back.
func (s *Service) enter(ctx context.Context, id string) (c *container, leave func(), err error) {
	if err := identifiers.Validate(id); err != nil {
		return nil, nil, fmt.Errorf("container id %q: %w", clip(id), errdefs.ErrInvalidArgument)
	}
	if s.pod.Container != "" && s.pod.Container != id {
		return nil, nil, fmt.Errorf("the worker of container %s asks for container %s: %w", s.pod.Container, id, errdefs.ErrPermissionDenied)
	}
	s.mu.Lock()
	c = s.containers[id]
	if c == nil {
		if len(s.containers) >= maxContainers {
			s.mu.Unlock()
			return nil, nil, fmt.Errorf("pod has %d containers already: %w", maxContainers, errdefs.ErrResourceExhausted)
		}
		c = &container{turn: make(chan struct{}, 1)}
		s.containers[id] = c
	}
	s.mu.Unlock()
	select {
	case c.turn <- struct{}{}:
		return c, func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// maxContainers bounds what a wasm-task that went wild can make the daemon keep.
const maxContainers = 1024

// drop forgets a container that holds nothing any more.
func (s *Service) drop(id string, c *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containers[id] == c {
		delete(s.containers, id)
	}
}

// lookup asks containerd for the container and refuses those of other pods.
func (s *Service) lookup(ctx context.Context, id string) (*Container, error) {
	rec, err := s.node.Containers.Container(ctx, s.pod.Namespace, id)
	if err != nil {
		return nil, err
	}
	sandbox := rec.SandboxID
	if sandbox == "" {
		sandbox = rec.Spec.Annotations[annotationSandboxID]
	}
	if sandbox != s.pod.ID || rec.ID != id {
		return nil, fmt.Errorf("container %s does not belong to pod %s: %w", id, s.pod.ID, errdefs.ErrPermissionDenied)
	}
	if rec.Spec.Process == nil || len(rec.Spec.Process.Args) == 0 {
		return nil, fmt.Errorf("container %s has no command: %w", id, errdefs.ErrInvalidArgument)
	}
	s.remember(id)
	return rec, nil
}

// choices is what the annotations of a container are read with.
func (s *Service) choices(rec *Container) *podspec.Container {
	return &podspec.Container{
		Name:        rec.Spec.Annotations[annotationContainerName],
		Annotations: rec.Spec.Annotations, Pod: s.pod.Annotations,
		RuntimeHandler: s.pod.RuntimeHandler,
	}
}

func (s *Service) containerDir(id string) string {
	return filepath.Join(s.pod.Root, containersDir, id)
}

// remove takes a container's files and its cgroup away; that there are none is no
// error.
func (s *Service) remove(ctx context.Context, id string) error {
	c, leave, err := s.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.clear(ctx, id, c); err != nil {
		return err
	}
	s.drop(id, c)
	return nil
}

// clear removes what a container has on the host.
func (s *Service) clear(ctx context.Context, id string, c *container) error {
	c.forgetLater()
	err := errors.Join(s.removeWorker(ctx, id), s.removeLinux(ctx, id), s.unmount(id))
	if c.unlimited {
		return err
	}
	return errors.Join(err, s.removeThreads(ctx, id))
}

func (s *Service) unmount(id string) error {
	dir := s.containerDir(id)
	if err := detach(filepath.Join(dir, rootfsName)); err != nil {
		return fmt.Errorf("unmount the files of container %s: %w", id, err)
	}
	err := unix.Unlink(filepath.Join(dir, laterName))
	for _, d := range []string{filepath.Join(dir, rootfsName), dir} {
		if err == nil || errors.Is(err, unix.ENOENT) {
			err = unix.Rmdir(d)
		}
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove the directory of container %s: %w", id, err)
	}
	return nil
}
