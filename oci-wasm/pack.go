package ociwasm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PackOptions says what to pack. The same options give the same bytes, always.
type PackOptions struct {
	// Module is the module or component.
	Module []byte
	// Shape is one of the four; empty means A.
	Shape Shape
	// Ref is the image's full name, as in registry.example/app:v1; may be empty.
	Ref string
	// Path is the module's absolute path in the root file system (A, B) or its title
	// (C, D). Empty: /app.wasm.
	Path string
	// Entrypoint and Cmd are the command line; an empty Entrypoint means Path. For
	// D, which has no place for them, all of the following four must be empty.
	Entrypoint, Cmd, Env []string
	WorkingDir           string
	Labels               map[string]string
	// Annotations go to the manifest.
	Annotations map[string]string
	// Platform is that of the config. Empty: linux and this architecture for A,
	// wasip1/wasm for the others.
	Platform ocispec.Platform
	// Files are put into the root file system beside the module (A, B).
	Files []File
	// Compress makes the layer a gzip one.
	Compress bool
	// Created is the time in the config and of every file. Zero: 1970, so that it
	// does not make a difference.
	Created time.Time
}

// Packed is an image in memory. It is a content.Provider.
type Packed struct {
	Memory
	// Manifest is the image, with the annotations that name it for an importer.
	Manifest ocispec.Descriptor
}

// Annotations that containerd's import takes an image's name from.
const annotationImageName = "io.containerd.image.name"

// Pack packs a module into an image. What cannot run anywhere is a *Refusal, what
// contradicts itself errdefs.ErrInvalidArgument.
func Pack(o PackOptions) (*Packed, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &Packed{Memory: Memory{}}
	layer, err := o.layer(&p.Memory)
	if err != nil {
		return nil, err
	}
	config, err := o.config(&p.Memory, layer)
	if err != nil {
		return nil, err
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer.desc}, Annotations: o.Annotations,
	}
	if p.Manifest, err = p.addJSON(ocispec.MediaTypeImageManifest, m); err != nil {
		return nil, err
	}
	return p, p.name(o.Ref)
}

func (o *PackOptions) check() error {
	kind, err := Sniff(bytes.NewReader(o.Module), int64(len(o.Module)))
	if err != nil {
		return err
	}
	if err := CheckModule("module", bytes.NewReader(o.Module), int64(len(o.Module)), Abilities{Components: true}); err != nil {
		return err
	}
	if o.Shape == "" {
		o.Shape = ShapeLinux
	}
	if o.Path == "" {
		o.Path = "/app.wasm"
	}
	if !path.IsAbs(o.Path) || path.Clean(o.Path) != o.Path || o.Path == "/" {
		return fmt.Errorf("module path %q must be absolute and clean: %w", o.Path, errdefs.ErrInvalidArgument)
	}
	if o.Created.IsZero() {
		o.Created = time.Unix(0, 0)
	}
	o.Created = o.Created.UTC().Truncate(time.Second)
	if o.Platform.OS == "" {
		o.Platform = ocispec.Platform{OS: "wasip1", Architecture: "wasm"}
		switch {
		case o.Shape == ShapeLinux:
			o.Platform = ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
		case kind == KindComponent:
			o.Platform.OS = "wasip2"
		}
	}
	return o.checkShape()
}

func (o *PackOptions) checkShape() error {
	switch o.Shape {
	case ShapeLinux, ShapeWasm, ShapeLayer:
		if len(o.Entrypoint) == 0 {
			o.Entrypoint = []string{o.Path}
		}
	case ShapeArtifact:
		if len(o.Entrypoint)+len(o.Cmd)+len(o.Env)+len(o.Labels) > 0 || o.WorkingDir != "" {
			return fmt.Errorf("an artifact (shape D) has no place for an entrypoint, arguments, environment, labels or a working directory; use shape A: %w", errdefs.ErrInvalidArgument)
		}
	default:
		return fmt.Errorf("shape %q is none of A, B, C, D: %w", string(o.Shape), errdefs.ErrInvalidArgument)
	}
	files := o.Shape == ShapeLinux || o.Shape == ShapeWasm
	if !files && (len(o.Files) > 0 || o.Compress) {
		return fmt.Errorf("shape %s has no root file system for files or compression; use shape A: %w", string(o.Shape), errdefs.ErrInvalidArgument)
	}
	if want := o.Shape != ShapeLinux; isWasmPlatform(o.Platform) != want {
		return fmt.Errorf("platform %s does not belong to shape %s: %w", formatPlatform(o.Platform), o.Shape, errdefs.ErrInvalidArgument)
	}
	return nil
}

// packedLayer is the one layer of a packed image.
type packedLayer struct {
	desc ocispec.Descriptor
	// diff is the digest of the uncompressed tar, empty for a module.
	diff digest.Digest
}

func (o *PackOptions) layer(m *Memory) (packedLayer, error) {
	if o.Shape == ShapeLayer || o.Shape == ShapeArtifact {
		d := m.add(MediaTypeWasmLayer, o.Module)
		d.Annotations = map[string]string{ocispec.AnnotationTitle: path.Base(o.Path)}
		return packedLayer{desc: d}, nil
	}
	files := append([]File{{Path: o.Path, Mode: 0o755, Data: o.Module}}, o.Files...)
	tarball, err := layerTar(files, o.Created)
	if err != nil {
		return packedLayer{}, err
	}
	l := packedLayer{diff: digest.FromBytes(tarball)}
	if !o.Compress {
		l.desc = m.add(ocispec.MediaTypeImageLayer, tarball)
		return l, nil
	}
	packed, err := gzipped(tarball)
	if err != nil {
		return packedLayer{}, err
	}
	l.desc = m.add(ocispec.MediaTypeImageLayerGzip, packed)
	return l, nil
}

func (o *PackOptions) config(m *Memory, layer packedLayer) (ocispec.Descriptor, error) {
	if o.Shape == ShapeArtifact {
		return m.addJSON(MediaTypeWasmConfig, struct {
			Created      time.Time       `json:"created"`
			Architecture string          `json:"architecture"`
			OS           string          `json:"os"`
			LayerDigests []digest.Digest `json:"layerDigests"`
		}{o.Created, o.Platform.Architecture, o.Platform.OS, []digest.Digest{layer.desc.Digest}})
	}
	// Only layers of the root file system count as diffs; containerd compares.
	diffs := []digest.Digest{}
	if layer.diff != "" {
		diffs = append(diffs, layer.diff)
	}
	return m.addJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Created: &o.Created, Platform: o.Platform,
		Config: ocispec.ImageConfig{
			Entrypoint: o.Entrypoint, Cmd: o.Cmd, Env: o.Env, WorkingDir: o.WorkingDir, Labels: o.Labels,
		},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffs},
	})
}

// name puts the annotations on the manifest's descriptor that importers read.
func (p *Packed) name(ref string) error {
	if ref == "" {
		return nil
	}
	annotations, err := nameAnnotations(ref)
	p.Manifest.Annotations = annotations
	return err
}

func nameAnnotations(ref string) (map[string]string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w: %w", ref, err, errdefs.ErrInvalidArgument)
	}
	named = reference.TagNameOnly(named)
	annotations := map[string]string{annotationImageName: named.String()}
	if tagged, ok := named.(reference.Tagged); ok {
		annotations[ocispec.AnnotationRefName] = tagged.Tag()
	}
	return annotations, nil
}

// ParseShape takes a letter in either case.
func ParseShape(s string) (Shape, error) {
	switch shape := Shape(strings.ToUpper(s)); shape {
	case ShapeLinux, ShapeWasm, ShapeLayer, ShapeArtifact:
		return shape, nil
	}
	return "", fmt.Errorf("shape %q is none of A, B, C, D: %w", s, errdefs.ErrInvalidArgument)
}

func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	return data, nil
}
