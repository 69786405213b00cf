//go:build v2guest

package inside

import (
	"context"
	"testing"

	"github.com/containerd/containerd/api/events"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/typeurl/v2"
)

// oomEvents are the ids of the containers that containerd is told were out of memory;
// "" after patience.
func oomEvents(t *testing.T) <-chan string {
	t.Helper()
	client, err := containerd.New(theNode.Containerd(), containerd.WithDefaultNamespace("k8s.io"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, patience)
	t.Cleanup(func() {
		cancel()
		_ = client.Close() // asked for events only
	})
	stream, errs := client.Subscribe(ctx, `topic=="/tasks/oom"`)
	out := make(chan string, 16)
	go func() {
		defer close(out)
		for {
			select {
			case e := <-stream:
				v, err := typeurl.UnmarshalAny(e.Event)
				if oom, ok := v.(*events.TaskOOM); ok && err == nil {
					out <- oom.ContainerID
				}
			case <-errs:
				return
			}
		}
	}()
	return out
}
