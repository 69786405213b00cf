package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	eventstypes "github.com/containerd/containerd/api/events"
	eventsapi "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

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

// ContainerdEvents forwards events over containerd's ttrpc socket. It connects at
// the first event and again after an error.
type ContainerdEvents struct {
	address string

	mu     sync.Mutex // guards client
	client *ttrpc.Client
}

var _ Forwarder = (*ContainerdEvents)(nil)

// NewContainerdEvents is for the containerd whose gRPC socket is at path; the ttrpc
// one has the same name with .ttrpc behind it.
func NewContainerdEvents(path string) *ContainerdEvents {
	return &ContainerdEvents{address: path + ".ttrpc"}
}

// forwardTimeout bounds one attempt.
const forwardTimeout = 5 * time.Second

// Forward hands the event to containerd, a second time over a new connection if
// the first was lost.
func (c *ContainerdEvents) Forward(ctx context.Context, namespace, topic, typeName string, value []byte) error {
	q := &eventsapi.ForwardRequest{Envelope: &types.Envelope{
		Timestamp: timestamppb.Now(), Namespace: namespace, Topic: topic,
		Event: &anypb.Any{TypeUrl: typeName, Value: value},
	}}
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(ctx, namespace), forwardTimeout)
	defer cancel()
	var err error
	for range 2 {
		var client *ttrpc.Client
		if client, err = c.connect(ctx); err != nil {
			return err
		}
		if _, err = eventsapi.NewTTRPCEventsClient(client).Forward(ctx, q); err == nil {
			return nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			break // one pod's connection has ended: the client is everybody's
		}
		c.drop(client)
		if !errors.Is(err, ttrpc.ErrClosed) {
			break
		}
	}
	return fmt.Errorf("event %s to containerd at %s: %w", topic, c.address, errgrpc.ToNative(err))
}

func (c *ContainerdEvents) connect(ctx context.Context) (*ttrpc.Client, error) {
	c.mu.Lock()
	client := c.client
	c.mu.Unlock()
	if client != nil {
		return client, nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.address)
	if err != nil {
		return nil, fmt.Errorf("containerd's event socket: %w: %w", err, errdefs.ErrUnavailable)
	}
	client = ttrpc.NewClient(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil { // another was faster
		_ = client.Close()
		return c.client, nil
	}
	c.client = client
	return client, nil
}

func (c *ContainerdEvents) drop(client *ttrpc.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == client {
		c.client = nil
	}
	_ = client.Close()
}

// Close ends the connection.
func (c *ContainerdEvents) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil
	}
	client := c.client
	c.client = nil
	return client.Close()
}
