// Package forward hands events to containerd, over its ttrpc socket.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	eventsapi "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Client connects at the first event and again after an error. Safe for concurrent
// use.
type Client struct {
	address string

	mu     sync.Mutex // guards client
	client *ttrpc.Client
}

// New is for the containerd whose gRPC socket is at path; the ttrpc
// one has the same name with .ttrpc behind it.
func New(path string) *Client {
	return &Client{address: path + ".ttrpc"}
}

// forwardTimeout bounds one attempt.
const forwardTimeout = 5 * time.Second

// Forward hands the event to containerd, a second time over a new connection if
// the first was lost.
func (c *Client) Forward(ctx context.Context, namespace, topic, typeName string, value []byte) error {
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

func (c *Client) connect(ctx context.Context) (*ttrpc.Client, error) {
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

func (c *Client) drop(client *ttrpc.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == client {
		c.client = nil
	}
	_ = client.Close()
}

// Close ends the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil
	}
	client := c.client
	c.client = nil
	return client.Close()
}
