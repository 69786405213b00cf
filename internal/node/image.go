package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// importLinuxImages gives the node the pause image, which no registry is asked for,
// and a Linux program to compare with.
func (n *Node) importLinuxImages(ctx context.Context) error {
	for name, program := range map[string]string{PauseImage: "linux-pause", HelloImage: "linux-hello"} {
		content, err := os.ReadFile(n.tool(program))
		if err != nil {
			return err
		}
		archive, err := linuxImage(name, content)
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		file := n.path("tmp", program+".tar")
		if err := os.WriteFile(file, archive, 0o600); err != nil {
			return err
		}
		if err := n.ImportImage(ctx, file); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// ImportImage imports an OCI archive.
func (n *Node) ImportImage(ctx context.Context, file string) error {
	_, err := n.Ctr(ctx, "images", "import", file)
	return err
}

// linuxImage is an OCI archive of an image with one static program, /program.
func linuxImage(name string, program []byte) ([]byte, error) {
	var layer bytes.Buffer
	if err := writeTar(&layer, map[string][]byte{"program": program}, 0o755); err != nil {
		return nil, err
	}
	blobs := map[string][]byte{}
	add := func(mediaType string, content []byte) ocispec.Descriptor {
		d := digest.FromBytes(content)
		blobs["blobs/sha256/"+d.Encoded()] = content
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	layerDescriptor := add(ocispec.MediaTypeImageLayer, layer.Bytes())
	config, err := json.Marshal(ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Entrypoint: []string{"/program"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layerDescriptor.Digest}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    add(ocispec.MediaTypeImageConfig, config),
		Layers:    []ocispec.Descriptor{layerDescriptor},
	})
	if err != nil {
		return nil, err
	}
	descriptor := add(ocispec.MediaTypeImageManifest, manifest)
	descriptor.Annotations = map[string]string{"io.containerd.image.name": name}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{descriptor},
	})
	if err != nil {
		return nil, err
	}
	blobs[ocispec.ImageIndexFile] = index
	blobs[ocispec.ImageLayoutFile] = fmt.Appendf(nil, `{"imageLayoutVersion":"%s"}`, ocispec.ImageLayoutVersion)
	var archive bytes.Buffer
	if err := writeTar(&archive, blobs, 0o644); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}
