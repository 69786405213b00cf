package ociwasm

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func pack(t *testing.T, o PackOptions) *Packed {
	t.Helper()
	if o.Module == nil {
		o.Module = module
	}
	p, err := Pack(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInspectPackedShapes(t *testing.T) {
	for _, shape := range []Shape{ShapeLinux, ShapeWasm, ShapeLayer, ShapeArtifact} {
		t.Run(string(shape), func(t *testing.T) {
			o := PackOptions{Shape: shape, Path: "/hello.wasm", Annotations: map[string]string{"k": "v"}}
			if shape != ShapeArtifact {
				o.Cmd, o.Env, o.WorkingDir = []string{"x"}, []string{"A=b"}, "/w"
			}
			p := pack(t, o)
			image, err := Inspect(t.Context(), p, p.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			if image.Shape != shape || image.Annotations["k"] != "v" {
				t.Fatalf("got %+v", image)
			}
			if layered := shape == ShapeLayer || shape == ShapeArtifact; layered != (image.Module != nil) || layered != (len(image.Layers) == 0) {
				t.Fatalf("module %v, layers %v", image.Module, image.Layers)
			}
			want := []string{"/hello.wasm", "x"}
			if shape == ShapeArtifact {
				want = nil
			}
			if got := image.Config.Args(); !slices.Equal(got, want) {
				t.Fatalf("args %q", got)
			}
			if shape != ShapeLinux && image.Platform.OS != "wasip1" {
				t.Fatalf("platform %+v", image.Platform)
			}
		})
	}
}

// build makes an image of any contents.
func build(t *testing.T, m Memory, man ocispec.Manifest, configType string, config any) ocispec.Descriptor {
	t.Helper()
	var err error
	if man.Config, err = m.addJSON(configType, config); err != nil {
		t.Fatal(err)
	}
	man.MediaType = ocispec.MediaTypeImageManifest
	d, err := m.addJSON(ocispec.MediaTypeImageManifest, man)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func layersOf(m Memory, types ...string) (out []ocispec.Descriptor) {
	for i, t := range types {
		out = append(out, m.add(t, append([]byte{byte(i)}, module...)))
	}
	return out
}

func TestInspectRefuses(t *testing.T) {
	linux := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	wasm := ocispec.Image{Platform: ocispec.Platform{OS: "wasi", Architecture: "wasm"}}
	const image, tarball = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer
	for name, c := range map[string]struct {
		layers     []string
		configType string
		config     any
		kind       error
		phrase     string
	}{
		"two wasm layers":          {[]string{MediaTypeWasmLayer, MediaTypeContentLayer}, image, wasm, errdefs.ErrNotImplemented, "2 wasm layers"},
		"two in an artifact":       {[]string{MediaTypeWasmLayer, MediaTypeWasmLayer}, MediaTypeWasmConfig, wasm, errdefs.ErrNotImplemented, "2 wasm layers"},
		"spin config":              {[]string{MediaTypeContentLayer}, "application/vnd.fermyon.spin.application.v1+config", wasm, errdefs.ErrNotImplemented, "Spin application"},
		"spin layer":               {[]string{MediaTypeContentLayer, "application/vnd.fermyon.spin.application.v1+config"}, image, wasm, errdefs.ErrNotImplemented, "Spin application"},
		"artifact without module":  {nil, MediaTypeWasmConfig, wasm, errdefs.ErrNotImplemented, "its layers none"},
		"artifact with a file":     {[]string{MediaTypeWasmLayer, "text/plain"}, MediaTypeWasmConfig, wasm, errdefs.ErrNotImplemented, "1 more layers"},
		"artifact with a rootfs":   {[]string{MediaTypeWasmLayer, tarball}, MediaTypeWasmConfig, wasm, errdefs.ErrNotImplemented, "1 more layers"},
		"helm chart":               {[]string{"application/vnd.cncf.helm.chart.content.v1.tar+gzip"}, "application/vnd.cncf.helm.config.v1+json", wasm, errdefs.ErrNotImplemented, "helm.config"},
		"unknown layer":            {[]string{tarball, "application/x-thing"}, image, linux, errdefs.ErrNotImplemented, `"application/x-thing"`},
		"windows":                  {[]string{tarball}, image, ocispec.Image{Platform: ocispec.Platform{OS: "windows", Architecture: "amd64"}}, errdefs.ErrNotImplemented, "windows/amd64"},
		"nothing in it":            {nil, image, linux, errdefs.ErrInvalidArgument, "no layer"},
		"a config that is a list":  {[]string{tarball}, image, []int{1}, errdefs.ErrInvalidArgument, "no valid JSON"},
		"too many layers":          {slices.Repeat([]string{tarball}, maxLayers+1), image, linux, errdefs.ErrInvalidArgument, "501 layers"},
		"an artifact's config bad": {[]string{MediaTypeWasmLayer}, MediaTypeWasmConfig, "x", errdefs.ErrInvalidArgument, "no valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			m := Memory{}
			d := build(t, m, ocispec.Manifest{Layers: layersOf(m, c.layers...)}, c.configType, c.config)
			_, err := Inspect(t.Context(), m, d)
			var r *Refusal
			if !errors.As(err, &r) || r.Remedy == "" || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.phrase) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestInspectAcceptsOtherTools(t *testing.T) {
	for name, c := range map[string]struct {
		layer, config string
		shape         Shape
	}{
		"wasm-to-oci":     {MediaTypeContentLayer, "application/vnd.wasm.config.v1+json", ShapeArtifact},
		"oras push":       {MediaTypeWasmLayer, ocispec.MediaTypeEmptyJSON, ShapeArtifact},
		"istio":           {"application/vnd.module.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.config.v1+json", ShapeArtifact},
		"runwasi":         {"application/vnd.bytecodealliance.wasm.component.layer.v0+wasm", ocispec.MediaTypeImageConfig, ShapeLayer},
		"docker's config": {MediaTypeWasmLayer, dockerConfig, ShapeLayer},
	} {
		t.Run(name, func(t *testing.T) {
			m := Memory{}
			d := build(t, m, ocispec.Manifest{Layers: layersOf(m, c.layer)}, c.config, struct{}{})
			image, err := Inspect(t.Context(), m, d)
			if err != nil || image.Shape != c.shape || image.Module == nil {
				t.Fatalf("got %+v, %v", image, err)
			}
		})
	}
}

func TestInspectCompatVariant(t *testing.T) {
	p := pack(t, PackOptions{Annotations: map[string]string{VariantAnnotation: "compat-smart"}})
	image, err := Inspect(t.Context(), p, p.Manifest)
	if err != nil || image.Variant != "compat-smart" || image.Shape != ShapeLinux {
		t.Fatalf("got %+v, %v", image, err)
	}
}

func TestInspectPicksPlatform(t *testing.T) {
	m := Memory{}
	entry := func(os, arch string) ocispec.Descriptor {
		p := pack(t, PackOptions{Annotations: map[string]string{"for": os}})
		maps.Copy(m, p.Memory)
		d := p.Manifest
		if os != "" {
			d.Platform = &ocispec.Platform{OS: os, Architecture: arch}
		}
		return d
	}
	linux, wasi, wasip1, plain := entry("linux", runtime.GOARCH), entry("wasi", "wasm"), entry("wasip1", "wasm"), entry("", "")
	other := "s390x"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	foreign, attestation := entry("linux", other), entry("unknown", "unknown")
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4, Platform: wasip1.Platform}
	for name, c := range map[string]struct {
		entries []ocispec.Descriptor
		order   Order
		want    string // "" means none
	}{
		"wasip1 before wasi":       {[]ocispec.Descriptor{linux, wasi, wasip1}, WasmFirst, "wasip1"},
		"wasi before linux":        {[]ocispec.Descriptor{linux, wasi}, WasmFirst, "wasi"},
		"as containerd does":       {[]ocispec.Descriptor{wasip1, linux}, LikeContainerd, "linux"},
		"containerd without linux": {[]ocispec.Descriptor{wasi, wasip1}, LikeContainerd, "wasip1"},
		"foreign and attestation":  {[]ocispec.Descriptor{foreign, attestation, linux}, WasmFirst, "linux"},
		"not pulled":               {[]ocispec.Descriptor{gone, linux}, WasmFirst, "linux"},
		"no platform":              {[]ocispec.Descriptor{foreign, plain}, WasmFirst, ""},
		"foreign alone":            {[]ocispec.Descriptor{foreign}, WasmFirst, "refused"},
		"nothing":                  {nil, WasmFirst, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := m.addJSON(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: c.entries})
			if err != nil {
				t.Fatal(err)
			}
			image, err := Inspect(t.Context(), m, d, WithOrder(c.order))
			if c.want == "refused" {
				var r *Refusal
				if !errors.As(err, &r) || !strings.Contains(err.Error(), "platforms") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || image.Annotations["for"] != c.want {
				t.Fatalf("got %+v, %v", image, err)
			}
		})
	}
}

func TestInspectHostileBlobs(t *testing.T) {
	m := Memory{}
	good := pack(t, PackOptions{})
	maps.Copy(m, good.Memory)
	nested := good.Manifest
	for range maxDepth + 2 {
		d, err := m.addJSON(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: []ocispec.Descriptor{nested}})
		if err != nil {
			t.Fatal(err)
		}
		nested = d
	}
	wrong := m.add(ocispec.MediaTypeImageManifest, []byte(`{}`))
	m[wrong.Digest] = []byte(`[]`)
	big := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: maxJSON + 1}
	longer := good.Manifest
	longer.Size++
	for name, c := range map[string]struct {
		d    ocispec.Descriptor
		kind error
	}{
		"nested":          {nested, errdefs.ErrInvalidArgument},
		"wrong digest":    {wrong, errdefs.ErrInvalidArgument},
		"too big":         {big, errdefs.ErrInvalidArgument},
		"wrong size":      {longer, errdefs.ErrInvalidArgument},
		"bad digest":      {ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../x"}, errdefs.ErrInvalidArgument},
		"no digest":       {ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, errdefs.ErrInvalidArgument},
		"unknown type":    {ocispec.Descriptor{MediaType: "text/plain"}, errdefs.ErrNotImplemented},
		"not there":       {ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("y")}, errdefs.ErrNotFound},
		"type confusion":  {ocispec.Descriptor{MediaType: dockerManifest, Digest: good.Manifest.Digest, Size: good.Manifest.Size}, errdefs.ErrInvalidArgument},
		"index as itself": {ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: good.Manifest.Digest, Size: good.Manifest.Size}, errdefs.ErrNotImplemented},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Inspect(t.Context(), m, c.d); !errors.Is(err, c.kind) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	for _, s := range []Shape{ShapeLinux, ShapeArtifact} {
		p, err := Pack(PackOptions{Module: module, Shape: s})
		if err != nil {
			f.Fatal(err)
		}
		var man ocispec.Manifest
		if err := json.Unmarshal(p.Memory[p.Manifest.Digest], &man); err != nil {
			f.Fatal(err)
		}
		f.Add(p.Memory[p.Manifest.Digest], p.Memory[man.Config.Digest], true)
		f.Add([]byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json"}]}`), []byte(`{}`), false)
	}
	f.Fuzz(func(t *testing.T, body, config []byte, single bool) {
		m := Memory{}
		// The fuzzer cannot make digests: whatever the manifest calls its config is it.
		var man ocispec.Manifest
		if json.Unmarshal(body, &man) == nil {
			man.Config.Digest, man.Config.Size = digest.FromBytes(config), int64(len(config))
			body, _ = json.Marshal(man)
		}
		m.add("", config)
		d := m.add(ocispec.MediaTypeImageIndex, body)
		if single {
			d.MediaType = ocispec.MediaTypeImageManifest
		}
		image, err := Inspect(context.Background(), m, d)
		if err != nil {
			return
		}
		if image.Shape == "" || (image.Module == nil) != (image.Shape == ShapeLinux || image.Shape == ShapeWasm) {
			t.Fatalf("inconsistent: %+v", image)
		}
		for _, arg := range append(image.Config.Args(), "/", "x#y", "") {
			if s, err := Locate(image, arg); err == nil {
				for _, c := range s.Candidates(image.Config.WorkingDir, image.Config.Env) {
					if !strings.HasPrefix(c, "/") || strings.Contains(c, "/../") {
						t.Fatalf("candidate %q", c)
					}
				}
			}
		}
	})
}
