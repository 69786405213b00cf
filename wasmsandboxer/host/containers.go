package host

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/mnt"
)

// Containers is the truth about containers, kept by containerd. Safe for
// concurrent use; every method is bounded by its context.
type Containers interface {
	// Container is the record of a container; errdefs.ErrNotFound without one.
	Container(ctx context.Context, namespace, id string) (*Container, error)
	// Rootfs lists the mounts of its root file system.
	Rootfs(ctx context.Context, namespace string, c *Container) ([]mnt.Mount, error)
	// Image is what an image's name stands for.
	Image(ctx context.Context, namespace, name string) (ocispec.Descriptor, error)
	// Content reads the blobs of images.
	Content(namespace string) content.Provider
}

// Container is containerd's record of a container.
type Container struct {
	ID string
	// SandboxID is the pod that the container was created in.
	SandboxID string
	// Image is the image's name, may be empty.
	Image string
	// ImageDigest is what the name stood for when the container was made; empty if that
	// is not known.
	ImageDigest digest.Digest
	Spec        *specs.Spec
	// Snapshotter and SnapshotKey lead to the root file system.
	Snapshotter, SnapshotKey string

	root []mnt.Mount // the root file system, if it was asked for already
}

// Annotations that the CRI plugin puts into a container's specification:
// internal/cri/annotations of containerd.
const (
	annotationSandboxID     = "io.kubernetes.cri.sandbox-id"
	annotationContainerName = "io.kubernetes.cri.container-name"
	annotationImageName     = "io.kubernetes.cri.image-name"
)
