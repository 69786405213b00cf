package wasmtask

import (
	"context"

	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// Publisher hands events to containerd through the host service.
type Publisher struct{ Host Host }

var _ task.Publisher = Publisher{}

// Publish waits for a daemon if none is connected, as long as ctx lives.
func (p Publisher) Publish(ctx context.Context, topic string, event *anypb.Any) error {
	_, err := p.Host.Call(ctx, hostapi.MethodEvent, &hostapi.EventRequest{
		Topic: topic, Type: event.GetTypeUrl(), Value: event.GetValue(),
	}, nil)
	return err
}
