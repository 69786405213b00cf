package precompile

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is a name in one of containerd's namespaces.
type Image struct {
	Namespace, Name string
	Target          ocispec.Descriptor
}

// Images is what a Watcher asks of containerd, which may be away at any time. Safe
// for concurrent use; every call ends with its context.
type Images interface {
	// List lists the images of a namespace.
	List(ctx context.Context, namespace string) ([]Image, error)
	// Get finds an image; errdefs.ErrNotFound without it.
	Get(ctx context.Context, namespace, name string) (Image, error)
	// Content reads the blobs of images.
	Content(namespace string) content.Provider
	// Subscribe asks to be told of images that appear or change in the namespaces,
	// until ctx ends.
	Subscribe(ctx context.Context, namespaces []string) (Subscription, error)
}

// Subscription is the events that Subscribe asked for.
type Subscription interface {
	// Next waits for the next one. After an error there is none.
	Next() (namespace, name string, err error)
}
