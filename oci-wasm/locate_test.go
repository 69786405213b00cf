package ociwasm

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLocate(t *testing.T) {
	layer := &ocispec.Descriptor{Digest: "sha256:0", Annotations: map[string]string{ocispec.AnnotationTitle: "tool"}}
	rootfs := &Image{Shape: ShapeLinux, Layers: make([]ocispec.Descriptor, 1)}
	artifact := &Image{Shape: ShapeArtifact, Module: layer}
	own := &Image{Shape: ShapeLayer, Module: layer, Config: Config{Entrypoint: []string{"/bin/app#run"}}}
	mixed := &Image{Shape: ShapeLayer, Module: layer, Layers: make([]ocispec.Descriptor, 1)}
	for _, c := range []struct {
		image        *Image
		arg          string
		layer        bool
		path, export string
		kind         error
	}{
		{image: rootfs, arg: "/a.wasm", path: "/a.wasm"},
		{image: rootfs, arg: "/a.wasm#go", path: "/a.wasm", export: "go"},
		{image: rootfs, arg: "/a#b.wasm#go", path: "/a#b.wasm", export: "go"},
		{image: rootfs, arg: "a.wasm#", path: "a.wasm#"},
		{image: rootfs, arg: "", kind: errdefs.ErrInvalidArgument},
		{image: rootfs, arg: "#go", kind: errdefs.ErrInvalidArgument},
		{image: rootfs, arg: "a\x00b", kind: errdefs.ErrInvalidArgument},
		{image: rootfs, arg: strings.Repeat("a", 5000), kind: errdefs.ErrInvalidArgument},
		{image: artifact, arg: "/", layer: true, path: "/"},
		{image: artifact, arg: "", layer: true},
		{image: artifact, arg: "/#go", layer: true, path: "/", export: "go"},
		{image: artifact, arg: "/any.wasm", layer: true, path: "/any.wasm"},
		{image: artifact, arg: "/bin/tool", layer: true, path: "/bin/tool"},
		{image: artifact, arg: "/bin/sh", kind: errdefs.ErrNotFound},
		{image: own, arg: "/bin/app", layer: true, path: "/bin/app"},
		{image: own, arg: "/bin/app#run", layer: true, path: "/bin/app", export: "run"},
		{image: own, arg: "/bin/other", kind: errdefs.ErrNotFound},
		{image: mixed, arg: "/", layer: true, path: "/"},
		{image: mixed, arg: "/other.wasm", path: "/other.wasm"},
	} {
		s, err := Locate(c.image, c.arg)
		if c.kind != nil {
			var r *Refusal
			if !errors.As(err, &r) || !errors.Is(err, c.kind) || r.Remedy == "" {
				t.Errorf("%s %.20q: got %+v, %v", c.image.Shape, c.arg, s, err)
			}
			continue
		}
		if err != nil || (s.Layer != nil) != c.layer || s.Path != c.path || s.Export != c.export {
			t.Errorf("%s %q: got %+v, %v", c.image.Shape, c.arg, s, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		path, cwd string
		env, want []string
	}{
		{path: "/a/../b.wasm", cwd: "/w", want: []string{"/b.wasm"}},
		{path: "/../../b.wasm", cwd: "/w", want: []string{"/b.wasm"}},
		{path: "./b.wasm", cwd: "/w", want: []string{"/w/b.wasm"}},
		{path: "../../x/b.wasm", cwd: "w", want: []string{"/x/b.wasm"}},
		{path: "b.wasm", cwd: "/w", env: []string{"PATH=/bin:/opt:/bin:", "A=1"}, want: []string{"/bin/b.wasm", "/opt/b.wasm", "/w/b.wasm"}},
		{path: "b.wasm", cwd: "/", env: []string{"PATH=", "PATH=../x"}, want: []string{"/x/b.wasm", "/b.wasm"}},
		{path: "b.wasm", cwd: "", want: []string{"/usr/local/sbin/b.wasm", "/usr/local/bin/b.wasm", "/usr/sbin/b.wasm", "/usr/bin/b.wasm", "/sbin/b.wasm", "/bin/b.wasm", "/b.wasm"}},
	} {
		if got := (Source{Path: c.path}).Candidates(c.cwd, c.env); !slices.Equal(got, c.want) {
			t.Errorf("%s in %s with %q: got %q", c.path, c.cwd, c.env, got)
		}
	}
	if got := (Source{Layer: &ocispec.Descriptor{}, Path: "/"}).Candidates("/", nil); got != nil {
		t.Errorf("a layer has candidates: %q", got)
	}
	long := Source{Path: "x"}.Candidates("/", []string{"PATH=" + strings.Repeat("/a:/b/", 1000)})
	if len(long) > 65 {
		t.Errorf("%d candidates", len(long))
	}
}
