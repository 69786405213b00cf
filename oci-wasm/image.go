package ociwasm

import (
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Shape is one of the ways a module comes in an image; see the package comment.
type Shape string

// The shapes.
const (
	ShapeLinux    Shape = "A" // a file in a linux/<arch> image
	ShapeWasm     Shape = "B" // a file in a wasi/wasm or wasip1/wasm image
	ShapeLayer    Shape = "C" // a layer of its own beside an image config
	ShapeArtifact Shape = "D" // the CNCF artifact
)

// String describes the shape for people.
func (s Shape) String() string {
	switch s {
	case ShapeLinux:
		return "A (module in a linux image)"
	case ShapeWasm:
		return "B (module in an image of platform wasm)"
	case ShapeLayer:
		return "C (image config with a wasm layer)"
	case ShapeArtifact:
		return "D (wasm artifact)"
	}
	return string(s)
}

// Image is what Inspect found. It is not changed afterwards.
type Image struct {
	// Target is the descriptor that Inspect was asked about.
	Target ocispec.Descriptor
	// Manifest is the manifest chosen, Target itself if that is one.
	Manifest ocispec.Descriptor
	// Platform is what the config says, or what the index says of an artifact.
	Platform ocispec.Platform
	Shape    Shape
	Config   Config
	// Annotations are those of the manifest, over those of its descriptor.
	Annotations map[string]string
	// Module is the layer that is the module: shapes C and D; nil when the module is
	// a file in the root file system.
	Module *ocispec.Descriptor
	// Layers make the root file system, lowest first; empty for D.
	Layers []ocispec.Descriptor
	// Variant is the hint that crun's users set, module.wasm.image/variant; "compat"
	// and "compat-smart" mean a module in a linux image.
	Variant string
}

// Config is the part of an image's config that says how to run it. All empty for
// artifacts, which have none.
type Config struct {
	Entrypoint, Cmd, Env []string
	WorkingDir, User     string
	Labels               map[string]string
	Created              time.Time
}

// Args is the command line the image asks for.
func (c Config) Args() []string {
	return append(append([]string(nil), c.Entrypoint...), c.Cmd...)
}

// VariantAnnotation is the older hint that an image holds a module.
const VariantAnnotation = "module.wasm.image/variant"
