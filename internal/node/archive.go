package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is what goes into an OCI archive. It checks nothing, on purpose: tests make
// images with it that no tool would.
type Image struct {
	Name     string
	Platform ocispec.Platform
	Config   ocispec.ImageConfig
	Layers   []Layer
	// ConfigMediaType other than OCI's makes an artifact: its configuration is
	// RawConfig and says nothing of a platform.
	ConfigMediaType string
	RawConfig       []byte
	Annotations     map[string]string
}

// Layer is a blob of an image and its type.
type Layer struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// RootfsLayer is an uncompressed layer of executable files.
func RootfsLayer(files map[string][]byte) (Layer, error) {
	var b bytes.Buffer
	if err := writeTar(&b, files, 0o755); err != nil {
		return Layer{}, err
	}
	return Layer{MediaType: ocispec.MediaTypeImageLayer, Content: b.Bytes()}, nil
}

// WriteArchive writes the image as an OCI image layout in a tar.
func (i *Image) WriteArchive(w io.Writer) error {
	blobs := map[string][]byte{}
	add := func(mediaType string, content []byte) ocispec.Descriptor {
		d := digest.FromBytes(content)
		blobs["blobs/sha256/"+d.Encoded()] = content
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	manifest := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Annotations: i.Annotations,
	}
	config := ocispec.Image{Platform: i.Platform, Config: i.Config, RootFS: ocispec.RootFS{Type: "layers"}}
	for _, layer := range i.Layers {
		d := add(layer.MediaType, layer.Content)
		d.Annotations = layer.Annotations
		manifest.Layers = append(manifest.Layers, d)
		if layer.MediaType == ocispec.MediaTypeImageLayer { // others are no part of the root file system
			config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d.Digest)
		}
	}
	configMediaType, rawConfig := i.ConfigMediaType, i.RawConfig
	if configMediaType == "" {
		configMediaType = ocispec.MediaTypeImageConfig
		var err error
		if rawConfig, err = json.Marshal(config); err != nil {
			return err
		}
	}
	manifest.Config = add(configMediaType, rawConfig)
	rawManifest, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	d := add(ocispec.MediaTypeImageManifest, rawManifest)
	d.Annotations = map[string]string{"io.containerd.image.name": i.Name}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{d},
	})
	if err != nil {
		return err
	}
	blobs[ocispec.ImageIndexFile] = index
	blobs[ocispec.ImageLayoutFile] = fmt.Appendf(nil, `{"imageLayoutVersion":"%s"}`, ocispec.ImageLayoutVersion)
	return writeTar(w, blobs, 0o644)
}
