package precompile

import (
	"context"
	"fmt"
	"strconv"
	"time"

	eventstypes "github.com/containerd/containerd/api/events"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

// maxMessage is containerd's own bound of a gRPC message (defaults.DefaultMaxRecvMsgSize).
const maxMessage = 16 << 20

// Containerd is the containerd behind a socket. Its connection is its own, so that
// a long wait for a containerd that is away delays nobody else.
type Containerd struct {
	conn    *grpc.ClientConn
	images  imagesapi.ImagesClient
	events  eventsapi.EventsClient
	content content.Provider
}

var _ Images = (*Containerd)(nil)

// NewContainerd makes a client for the socket at path; nothing is dialled yet.
func NewContainerd(path string) (*Containerd, error) {
	wait := backoff.DefaultConfig
	wait.BaseDelay, wait.MaxDelay = 100*time.Millisecond, 2*time.Second // it is on this machine
	conn, err := grpc.NewClient("unix://"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a unix socket that root alone can open
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: wait, MinConnectTimeout: time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("client for containerd at %s: %w", path, err)
	}
	return &Containerd{
		conn: conn, images: imagesapi.NewImagesClient(conn), events: eventsapi.NewEventsClient(conn),
		content: contentproxy.NewContentStore(conn),
	}, nil
}

// Close ends the connection.
func (c *Containerd) Close() error { return c.conn.Close() }

// List asks the images service.
func (c *Containerd) List(ctx context.Context, namespace string) ([]Image, error) {
	r, err := c.images.List(namespaces.WithNamespace(ctx, namespace), &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("images in namespace %s: %w", namespace, errgrpc.ToNative(err))
	}
	var all []Image
	for _, i := range r.GetImages() {
		all = append(all, imageOf(namespace, i))
	}
	return all, nil
}

// Get asks the images service.
func (c *Containerd) Get(ctx context.Context, namespace, name string) (Image, error) {
	r, err := c.images.Get(namespaces.WithNamespace(ctx, namespace), &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return Image{}, fmt.Errorf("image %s in namespace %s: %w", name, namespace, errgrpc.ToNative(err))
	}
	return imageOf(namespace, r.GetImage()), nil
}

func imageOf(namespace string, i *imagesapi.Image) Image {
	t := i.GetTarget()
	return Image{
		Namespace: namespace, Name: i.GetName(),
		Target: ocispec.Descriptor{
			MediaType: t.GetMediaType(), Digest: digest.Digest(t.GetDigest()), Size: t.GetSize(), Annotations: t.GetAnnotations(),
		},
	}
}

// Content reads through the content service.
func (c *Containerd) Content(namespace string) content.Provider {
	return inNamespace{c.content, namespace}
}

// inNamespace is a content.Provider in one namespace.
type inNamespace struct {
	content.Provider
	namespace string
}

// ReaderAt opens a blob.
func (p inNamespace) ReaderAt(ctx context.Context, d ocispec.Descriptor) (content.ReaderAt, error) {
	return p.Provider.ReaderAt(namespaces.WithNamespace(ctx, p.namespace), d)
}

// Topics of containerd's events about images (core/metadata/images.go).
const (
	topicCreate = "/images/create"
	topicUpdate = "/images/update"
)

// Subscribe asks the events service.
func (c *Containerd) Subscribe(ctx context.Context, spaces []string) (Subscription, error) {
	var filters []string
	for _, n := range spaces {
		for _, topic := range []string{topicCreate, topicUpdate} {
			filters = append(filters, "namespace=="+strconv.Quote(n)+",topic=="+strconv.Quote(topic))
		}
	}
	stream, err := c.events.Subscribe(ctx, &eventsapi.SubscribeRequest{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("events of images: %w", errgrpc.ToNative(err))
	}
	return subscription{stream}, nil
}

type subscription struct {
	stream eventsapi.Events_SubscribeClient
}

// Next waits for an event. Those that cannot be read are passed over.
func (s subscription) Next() (namespace, name string, err error) {
	for {
		e, err := s.stream.Recv()
		if err != nil {
			return "", "", fmt.Errorf("events of images: %w", errgrpc.ToNative(err))
		}
		named := map[string]interface {
			proto.Message
			GetName() string
		}{topicCreate: &eventstypes.ImageCreate{}, topicUpdate: &eventstypes.ImageUpdate{}}[e.GetTopic()]
		if named == nil || proto.Unmarshal(e.GetEvent().GetValue(), named) != nil || named.GetName() == "" {
			continue
		}
		return e.GetNamespace(), named.GetName(), nil
	}
}
