package wasmtask

import (
	"context"

	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"blazar/sandbox/task"
)

// The ttrpc service beside a worker's Task API: Next, without an argument, waits for
// the next event of its container and returns it, a message of containerd.events.
const (
	feedService = "blazar.worker.v1.Events"
	feedNext    = "Next"
)

// Feed is where a worker publishes: its events are for the pod's wasm-task, which
// tells containerd what happened in its own words and order.
type Feed struct{ events chan *anypb.Any }

var _ task.Publisher = (*Feed)(nil)

// NewFeed makes an empty one.
func NewFeed() *Feed { return &Feed{events: make(chan *anypb.Any)} }

// Register adds the service.
func (f *Feed) Register(t *ttrpc.Server) {
	t.RegisterService(feedService, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{feedNext: f.next}})
}

// Publish waits until the event was asked for.
func (f *Feed) Publish(ctx context.Context, _ string, event *anypb.Any) error {
	select {
	case f.events <- event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Feed) next(ctx context.Context, unmarshal func(any) error) (any, error) {
	if err := unmarshal(&emptypb.Empty{}); err != nil {
		return nil, err
	}
	select {
	case e := <-f.events:
		return e, nil
	case <-ctx.Done():
		return nil, errgrpc.ToGRPC(ctx.Err())
	}
}

// nextEvent is the other side of it.
func nextEvent(ctx context.Context, c *ttrpc.Client) (*anypb.Any, error) {
	var e anypb.Any
	if err := c.Call(ctx, feedService, feedNext, &emptypb.Empty{}, &e); err != nil {
		return nil, err
	}
	return &e, nil
}
