package ociwasm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxLayers bounds a manifest's layers; overlayfs takes 500 lower directories.
const maxLayers = 500

// Inspect reads the manifest and the config that desc leads to and says what the
// image is. Nothing of a layer is read. What is no wasm image, or one that cannot
// run, is a *Refusal. It makes no lasting use of p and is safe for concurrent use
// if p is.
func Inspect(ctx context.Context, p content.Provider, desc ocispec.Descriptor, opts ...Option) (*Image, error) {
	o := options{order: WasmFirst}
	for _, opt := range opts {
		opt(&o)
	}
	m, err := resolve(ctx, p, desc, o)
	if err != nil {
		return nil, err
	}
	image := &Image{Target: desc, Manifest: m.desc, Annotations: merge(m.desc.Annotations, m.body.Annotations)}
	image.Variant = image.Annotations[VariantAnnotation]
	if m.desc.Platform != nil {
		image.Platform = *m.desc.Platform
	}
	if err := classify(ctx, p, image, m.body); err != nil {
		return nil, err
	}
	return image, nil
}

// classify finds the shape and fills in what belongs to it.
func classify(ctx context.Context, p content.Provider, image *Image, m *ocispec.Manifest) error {
	subject := "image " + image.Manifest.Digest.String()
	if len(m.Layers) > maxLayers {
		return invalid(subject, "build it with fewer layers", "it has %d layers, the limit is %d", len(m.Layers), maxLayers)
	}
	if t := spinType(m); t != "" {
		return unsupported(subject, "run it with a Spin runtime, or pack the component's module alone with blazar image build",
			"it is a Spin application (%s), which brings its own host interface", t)
	}
	var modules, others []ocispec.Descriptor
	for _, l := range m.Layers {
		switch {
		case isWasmLayer(l.MediaType):
			modules = append(modules, l)
		case isRootfsLayer(l.MediaType):
			image.Layers = append(image.Layers, l)
		default:
			others = append(others, l)
		}
	}
	if len(modules) > 1 {
		return unsupported(subject, "pack one module per image", "it has %d wasm layers, and nothing says which one to run", len(modules))
	}
	if len(modules) == 1 {
		image.Module = &modules[0]
	}
	if isImageConfig(m.Config.MediaType) {
		return classifyImage(ctx, p, image, m.Config, others)
	}
	return classifyArtifact(ctx, p, image, m, others)
}

func classifyImage(ctx context.Context, p content.Provider, image *Image, config ocispec.Descriptor, others []ocispec.Descriptor) error {
	subject := "image " + image.Manifest.Digest.String()
	if len(others) > 0 {
		return unsupported(subject, "leave that layer out", "it has a layer of the unknown type %q", others[0].MediaType)
	}
	var c ocispec.Image
	if err := readJSON(ctx, p, "config", config, &c); err != nil {
		return err
	}
	image.Platform = c.Platform
	image.Config = Config{
		Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, Env: c.Config.Env,
		WorkingDir: c.Config.WorkingDir, User: c.Config.User, Labels: c.Config.Labels,
	}
	if c.Created != nil {
		image.Config.Created = *c.Created
	}
	switch {
	case image.Module != nil:
		image.Shape = ShapeLayer
	case isWasmPlatform(c.Platform):
		image.Shape = ShapeWasm
	case c.OS == "linux":
		image.Shape = ShapeLinux
	default:
		return unsupported(subject, "build it for the platform wasip1/wasm or linux", "it is for the platform %s", formatPlatform(c.Platform))
	}
	if image.Module == nil && len(image.Layers) == 0 {
		return invalid(subject, "build it again with the module in it", "it has no layer")
	}
	return nil
}

// wasmConfig is the part of the CNCF artifact's config that is used.
type wasmConfig struct {
	Created      *time.Time `json:"created"`
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
}

func classifyArtifact(ctx context.Context, p content.Provider, image *Image, m *ocispec.Manifest, others []ocispec.Descriptor) error {
	subject := "artifact " + image.Manifest.Digest.String()
	if image.Module == nil || !wasmConfigs[m.Config.MediaType] {
		return unsupported(subject, "use a container image or a wasm artifact (config "+MediaTypeWasmConfig+", one layer "+MediaTypeWasmLayer+")",
			"its config has the type %q and its layers %s", m.Config.MediaType, layerTypes(m.Layers))
	}
	if n := len(image.Layers) + len(others); n > 0 {
		return unsupported(subject, "pack the module alone", "it has %d more layers beside the module (%s)", n, layerTypes(m.Layers))
	}
	image.Shape = ShapeArtifact
	if m.Config.MediaType != MediaTypeWasmConfig {
		return nil // the other types never had contents that matter
	}
	var c wasmConfig
	if err := readJSON(ctx, p, "config", m.Config, &c); err != nil {
		return err
	}
	image.Platform = ocispec.Platform{OS: c.OS, Architecture: c.Architecture}
	if c.Created != nil {
		image.Config.Created = *c.Created
	}
	return nil
}

func spinType(m *ocispec.Manifest) string {
	for _, t := range append([]string{m.Config.MediaType, m.ArtifactType}, mediaTypes(m.Layers)...) {
		if isSpin(t) {
			return t
		}
	}
	return ""
}

func mediaTypes(ds []ocispec.Descriptor) []string {
	var ts []string
	for _, d := range ds {
		ts = append(ts, d.MediaType)
	}
	return ts
}

func layerTypes(ds []ocispec.Descriptor) string {
	ts := mediaTypes(ds)
	slices.Sort(ts)
	ts = slices.Compact(ts)
	if len(ts) == 0 {
		return "none"
	}
	if len(ts) > 5 {
		ts = append(ts[:5], "…")
	}
	return fmt.Sprintf("%q", strings.Join(ts, ", "))
}

func merge(a, b map[string]string) map[string]string {
	m := make(map[string]string, len(a)+len(b))
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

// absent says that an error means the blob is not there.
func absent(err error) bool { return errdefs.IsNotFound(err) }
