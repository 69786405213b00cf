package host

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"blazar/internal/mnt"
)

// maxMessage is containerd's own bound of a gRPC message (defaults.DefaultMaxRecvMsgSize).
const maxMessage = 16 << 20

// reconnect tries often: a local socket costs nothing.
var reconnect = backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond}

// Containerd asks containerd's gRPC API. It connects at the first question and
// again whenever containerd was restarted.
type Containerd struct {
	conn       *grpc.ClientConn
	containers containersapi.ContainersClient
	snapshots  snapshotsapi.SnapshotsClient
	images     imagesapi.ImagesClient
	content    content.Provider
	// snapshotter is that of the last container whose snapshot was named after it.
	snapshotter atomic.Pointer[string]
}

var _ Containers = (*Containerd)(nil)

// NewContainerd makes a client for the socket at path; nothing is dialled yet.
func NewContainerd(path string) (*Containerd, error) {
	conn, err := grpc.NewClient("unix://"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a unix socket that root alone can open
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: time.Second}),
		// A container may be made in the moment after containerd was restarted; every
		// request of a pod has a deadline.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.WaitForReady(true)))
	if err != nil {
		return nil, fmt.Errorf("client for containerd at %s: %w", path, err)
	}
	return &Containerd{
		conn:       conn,
		containers: containersapi.NewContainersClient(conn),
		snapshots:  snapshotsapi.NewSnapshotsClient(conn),
		images:     imagesapi.NewImagesClient(conn),
		content:    contentproxy.NewContentStore(conn),
	}, nil
}

// Close ends the connection.
func (c *Containerd) Close() error { return c.conn.Close() }

// Container asks the containers service, and at the same time for the root file system
// of a container like those before it, which is what is asked for next.
func (c *Containerd) Container(ctx context.Context, namespace, id string) (*Container, error) {
	guess := &Container{ID: id, SnapshotKey: id}
	var asking sync.WaitGroup
	if s := c.snapshotter.Load(); s != nil {
		guess.Snapshotter = *s
		asking.Go(func() {
			if all, err := c.Rootfs(ctx, namespace, guess); err == nil {
				guess.root = all
			}
		})
	}
	r, err := c.containers.Get(namespaces.WithNamespace(ctx, namespace), &containersapi.GetContainerRequest{ID: id})
	asking.Wait()
	if err != nil {
		return nil, fmt.Errorf("containerd's record of container %s: %w", id, errgrpc.ToNative(err))
	}
	rec := r.GetContainer()
	var spec specs.Spec
	if err := json.Unmarshal(rec.GetSpec().GetValue(), &spec); err != nil {
		return nil, fmt.Errorf("specification of container %s: %w", id, err)
	}
	if spec.Linux != nil {
		spec.Linux.Seccomp = nil // the largest part, kept with the record and of no use here
	}
	out := &Container{
		ID: rec.GetID(), SandboxID: rec.GetSandbox(), Image: rec.GetImage(), Spec: &spec,
		ImageDigest: imageDigest(rec.GetExtensions()[criMetadata].GetValue()),
		Snapshotter: rec.GetSnapshotter(), SnapshotKey: rec.GetSnapshotKey(),
	}
	if out.SnapshotKey == id {
		if out.Snapshotter == guess.Snapshotter {
			out.root = guess.root
		} else {
			c.snapshotter.Store(&out.Snapshotter)
		}
	}
	return out, nil
}

// criMetadata is the extension of a container's record in which the CRI plugin keeps
// what it knows of it: internal/cri/store/container/metadata.go of containerd.
const criMetadata = "io.cri-containerd.container.metadata"

// imageDigest is what the container's image was when the container was made, as
// containerd 2.4 and newer write it down; empty if nobody did.
func imageDigest(metadata []byte) digest.Digest {
	var m struct {
		Version  string
		Metadata struct{ ImageDigest digest.Digest }
	}
	if json.Unmarshal(metadata, &m) != nil || m.Version != "v1" || m.Metadata.ImageDigest.Validate() != nil {
		return ""
	}
	return m.Metadata.ImageDigest
}

// Rootfs asks the snapshots service.
func (c *Containerd) Rootfs(ctx context.Context, namespace string, rec *Container) ([]mnt.Mount, error) {
	if rec.root != nil {
		return rec.root, nil
	}
	r, err := c.snapshots.Mounts(namespaces.WithNamespace(ctx, namespace),
		&snapshotsapi.MountsRequest{Snapshotter: rec.Snapshotter, Key: rec.SnapshotKey})
	if err != nil {
		return nil, fmt.Errorf("root file system of container %s: %w", rec.ID, errgrpc.ToNative(err))
	}
	var out []mnt.Mount
	for _, m := range r.GetMounts() {
		out = append(out, mnt.Mount{Type: m.GetType(), Source: m.GetSource(), Target: m.GetTarget(), Options: m.GetOptions()})
	}
	return out, nil
}

// Image asks the images service.
func (c *Containerd) Image(ctx context.Context, namespace, name string) (ocispec.Descriptor, error) {
	r, err := c.images.Get(namespaces.WithNamespace(ctx, namespace), &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("image %s: %w", name, errgrpc.ToNative(err))
	}
	t := r.GetImage().GetTarget()
	return ocispec.Descriptor{
		MediaType: t.GetMediaType(), Digest: digest.Digest(t.GetDigest()), Size: t.GetSize(), Annotations: t.GetAnnotations(),
	}, nil
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
