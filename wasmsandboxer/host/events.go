package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	eventstypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"google.golang.org/protobuf/proto"

	"blazar/internal/forward"
	"blazar/wasmsandboxer/hostapi"
)

// taskEvent is an event about a container's task.
type taskEvent interface {
	proto.Message
	GetContainerID() string
}

// taskEvents are the events that a wasm-task may publish, by topic:
// core/runtime/events.go of containerd. Nothing else passes.
var taskEvents = map[string]func() taskEvent{
	"/tasks/create":       func() taskEvent { return &eventstypes.TaskCreate{} },
	"/tasks/start":        func() taskEvent { return &eventstypes.TaskStart{} },
	"/tasks/oom":          func() taskEvent { return &eventstypes.TaskOOM{} },
	"/tasks/exit":         func() taskEvent { return &eventstypes.TaskExit{} },
	"/tasks/delete":       func() taskEvent { return &eventstypes.TaskDelete{} },
	"/tasks/exec-added":   func() taskEvent { return &eventstypes.TaskExecAdded{} },
	"/tasks/exec-started": func() taskEvent { return &eventstypes.TaskExecStarted{} },
	"/tasks/paused":       func() taskEvent { return &eventstypes.TaskPaused{} },
	"/tasks/resumed":      func() taskEvent { return &eventstypes.TaskResumed{} },
}

// event checks that an event is about a container of this pod and hands it on.
func (s *Service) event(ctx context.Context, q *hostapi.EventRequest) error {
	if s.pod.Container != "" {
		return fmt.Errorf("the worker of container %s publishes nothing: %w", s.pod.Container, errdefs.ErrPermissionDenied)
	}
	make, ok := taskEvents[q.Topic]
	if !ok {
		return fmt.Errorf("event topic %q: %w", clip(q.Topic), errdefs.ErrPermissionDenied)
	}
	e := make()
	name := string(e.ProtoReflect().Descriptor().FullName())
	if name != q.Type {
		return fmt.Errorf("event %s of type %q: %w", q.Topic, clip(q.Type), errdefs.ErrInvalidArgument)
	}
	if err := proto.Unmarshal(q.Value, e); err != nil {
		return fmt.Errorf("event %s: %w: %w", q.Topic, err, errdefs.ErrInvalidArgument)
	}
	if err := s.ownsContainer(ctx, e.GetContainerID()); err != nil {
		return fmt.Errorf("event %s: %w", q.Topic, err)
	}
	value, err := proto.Marshal(e)
	if err != nil {
		return err
	}
	return s.node.Events.Forward(ctx, s.pod.Namespace, q.Topic, name, value)
}

func (s *Service) ownsContainer(ctx context.Context, id string) error {
	if s.known(id) {
		return nil
	}
	_, err := s.lookup(ctx, id)
	return err
}

// OutOfMemory tells containerd that the kernel ended the pod's process, and with it
// every container, for want of memory.
func (s *Service) OutOfMemory(ctx context.Context) {
	prepared, err := os.ReadDir(filepath.Join(s.pod.Root, containersDir))
	if err != nil {
		log.G(ctx).WithError(err).Warn("containerd was not told that memory ran out")
		return
	}
	for _, dir := range prepared {
		id := dir.Name()
		e := &eventstypes.TaskOOM{ContainerID: id}
		value, err := proto.Marshal(e)
		if err == nil {
			err = s.node.Events.Forward(ctx, s.pod.Namespace, "/tasks/oom", string(e.ProtoReflect().Descriptor().FullName()), value)
		}
		if err != nil {
			log.G(ctx).WithError(err).WithField("container_id", id).Warn("containerd was not told that memory ran out")
		}
	}
}

// ContainerdEvents forwards events over containerd's ttrpc socket.
type ContainerdEvents = forward.Client

var _ Forwarder = (*ContainerdEvents)(nil)

// NewContainerdEvents is for the containerd whose gRPC socket is at path.
func NewContainerdEvents(path string) *ContainerdEvents { return forward.New(path) }
