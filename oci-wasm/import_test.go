package ociwasm

import (
	"bytes"
	"context"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestContainerdImportsEveryShape puts what WriteTar wrote through containerd's own
// import into its own content store, and asks what its CRI asks before it creates a
// container.
func TestContainerdImportsEveryShape(t *testing.T) {
	for _, shape := range []Shape{ShapeLinux, ShapeWasm, ShapeLayer, ShapeArtifact} {
		t.Run(string(shape), func(t *testing.T) {
			store, err := local.NewStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			ref := "registry.example/app:v1"
			index, err := archive.ImportIndex(t.Context(), store, bytes.NewReader(tarOf(t, PackOptions{Shape: shape, Ref: ref})))
			if err != nil {
				t.Fatal(err)
			}
			target := imported(t, store, index, ref)
			host := platforms.Default()
			m, err := images.Manifest(t.Context(), store, target, host)
			if err != nil {
				t.Fatal(err)
			}
			config, err := images.Config(t.Context(), store, target, host)
			if err != nil {
				t.Fatal(err)
			}
			diffs, err := images.RootFS(t.Context(), store, config)
			if err != nil {
				t.Fatal(err)
			}
			layers := 0
			for _, l := range m.Layers {
				if images.IsLayerType(l.MediaType) {
					layers++
				}
			}
			if layers != len(diffs) {
				t.Fatalf("%d layers and %d diff ids", layers, len(diffs))
			}
			image, err := Inspect(t.Context(), store, target, WithOrder(LikeContainerd))
			if err != nil || image.Shape != shape {
				t.Fatalf("got %+v, %v", image, err)
			}
			if image.Module != nil {
				if err := CheckLayer(t.Context(), store, *image.Module, Abilities{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// imported finds the image that `ctr images import` would make of the index.
func imported(t *testing.T, store content.Provider, d ocispec.Descriptor, ref string) ocispec.Descriptor {
	t.Helper()
	var index ocispec.Index
	if err := readJSON(context.Background(), store, "index", d, &index); err != nil {
		t.Fatal(err)
	}
	for _, m := range index.Manifests {
		if m.Annotations[images.AnnotationImageName] == ref && m.Platform == nil {
			return m
		}
	}
	t.Fatalf("no %s in %+v", ref, index.Manifests)
	return ocispec.Descriptor{}
}
