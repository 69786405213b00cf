package runctask

import (
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task"
)

// Forwarder hands events to containerd.
type Forwarder interface {
	Forward(ctx context.Context, namespace, topic, typeName string, value []byte) error
}

// publisher adds to events what containerd wants to know: the namespace.
type publisher struct {
	rt *Runtime
	to Forwarder
}

// Publisher makes the task server's. Of a container with a Scope only memory running
// out is told: whoever presents it tells the rest.
func (r *Runtime) Publisher(to Forwarder) task.Publisher { return publisher{rt: r, to: to} }

// topicOOM as in core/runtime/events.go of containerd.
const topicOOM = "/tasks/oom"

// Publish hands an event on.
func (p publisher) Publish(ctx context.Context, topic string, e *anypb.Any) error {
	n, ok := p.rt.identity(containerOf(e.GetValue()))
	if !ok || n.scoped && topic != topicOOM {
		return nil
	}
	return p.to.Forward(ctx, n.namespace, topic, e.GetTypeUrl(), e.GetValue())
}

// containerOf reads the container's id, field 1 of every event about a task
// (containerd/api/events/task.proto).
func containerOf(event []byte) string {
	for len(event) > 0 {
		number, kind, n := protowire.ConsumeTag(event)
		if n < 0 {
			return ""
		}
		event = event[n:]
		if number == 1 && kind == protowire.BytesType {
			b, n := protowire.ConsumeBytes(event)
			if n < 0 {
				return ""
			}
			return string(b)
		}
		if n = protowire.ConsumeFieldValue(number, kind, event); n < 0 {
			return ""
		}
		event = event[n:]
	}
	return ""
}

// identity is what events about a container need; it outlives the container for as
// long as the last of them may wait.
type identity struct {
	namespace string
	scoped    bool
}

// lateEvents is how long events of a container that is gone may wait.
const lateEvents = 2 * time.Minute

func (r *Runtime) identity(id string) (identity, bool) {
	if c, ok := r.get(id); ok {
		return c.identity(), true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.gone[id]
	return n, ok
}

func (c *container) identity() identity {
	return identity{namespace: c.record.Namespace, scoped: c.record.Scope != nil}
}

// bury keeps the identity of a container that is gone. The caller holds r.mu.
func (r *Runtime) bury(c *container) {
	id := c.record.ID
	r.gone[id] = c.identity()
	time.AfterFunc(lateEvents, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.gone, id)
	})
}
