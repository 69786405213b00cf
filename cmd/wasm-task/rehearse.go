package main

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/engines"
	"blazar/sandbox/task"
	"blazar/sandbox/task/taskapi"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/wasmtask"
)

// rehearsalTimeout bounds a rehearsal, which takes a millisecond.
const rehearsalTimeout = 5 * time.Second

// rehearse serves a Task API to itself and asks it for a container that there is not, so
// that what containerd's first request needs is in memory when it comes. That it fails
// is no harm.
func rehearse(registry *engines.Registry) {
	ctx, cancel := context.WithTimeout(context.Background(), rehearsalTimeout)
	defer cancel()
	server, err := ttrpc.NewServer()
	if err != nil {
		return
	}
	tasks := task.NewServer(wasmtask.New(nobody{}, registry, hostapi.Hello{}), task.Options{Publisher: nobody{}, Runtime: "wasm"})
	tasks.Register(server)
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx, &stage{conn: theirs, over: ctx.Done()}) }) // until it is closed
	client := ttrpc.NewClient(ours)
	c := taskapi.NewClient(client)
	_, _ = c.Connect(ctx, &taskapi.ConnectRequest{Id: "rehearsal"})
	_, _ = c.Create(ctx, &taskapi.CreateTaskRequest{Id: "rehearsal", Bundle: "/"})
	_ = client.Close()
	_ = server.Close()
	cancel()
	serving.Wait()
	_ = tasks.Close(context.Background())
}

// nobody is the host service of a rehearsal.
type nobody struct{}

// Call knows no container; there is nothing to be removed of one.
func (nobody) Call(_ context.Context, method string, _, _ any) ([]*os.File, error) {
	if method == hostapi.MethodRemove {
		return nil, nil
	}
	return nil, errdefs.ErrNotFound
}

// Publish drops the event.
func (nobody) Publish(context.Context, string, *anypb.Any) error { return nil }

// stage is a listener with one connection.
type stage struct {
	once sync.Once
	conn net.Conn
	over <-chan struct{}
}

// Accept returns the connection once.
func (s *stage) Accept() (c net.Conn, err error) {
	s.once.Do(func() { c = s.conn })
	if c != nil {
		return c, nil
	}
	<-s.over
	return nil, net.ErrClosed
}

// Close does nothing.
func (s *stage) Close() error { return nil }

// Addr is that of the connection.
func (s *stage) Addr() net.Addr { return s.conn.LocalAddr() }
