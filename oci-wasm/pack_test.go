package ociwasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func tarOf(t *testing.T, o PackOptions) []byte {
	t.Helper()
	p := pack(t, o)
	var out bytes.Buffer
	if err := WriteTar(t.Context(), &out, p, p.Manifest); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPackIsReproducible(t *testing.T) {
	options := func(shuffled bool) PackOptions {
		o := PackOptions{
			Ref: "registry.example/app", Cmd: []string{"x"}, Labels: map[string]string{"b": "2", "a": "1"}, Compress: true,
			Files: []File{{Path: "/data", Mode: fs.ModeDir | 0o777}, {Path: "/etc/x", Data: []byte("x"), Mode: 0o600}},
		}
		if shuffled {
			o.Files[0], o.Files[1] = o.Files[1], o.Files[0]
			o.Created = time.Unix(0, 999).In(time.FixedZone("east", 3600))
		}
		return o
	}
	a, b := tarOf(t, options(false)), tarOf(t, options(true))
	if !bytes.Equal(a, b) {
		t.Fatal("two tars differ")
	}
	if c := tarOf(t, PackOptions{}); bytes.Equal(a, c) {
		t.Fatal("different options give the same tar")
	}
}

// TestPackedShapeIsWhatTheSpecificationsSay reads the JSON as another tool would.
func TestPackedShapeIsWhatTheSpecificationsSay(t *testing.T) {
	p := pack(t, PackOptions{Shape: ShapeArtifact, Path: "/hello.wasm"})
	var m ocispec.Manifest
	if err := json.Unmarshal(p.Memory[p.Manifest.Digest], &m); err != nil {
		t.Fatal(err)
	}
	if m.SchemaVersion != 2 || m.MediaType != ocispec.MediaTypeImageManifest || m.Config.MediaType != "application/vnd.wasm.config.v0+json" ||
		len(m.Layers) != 1 || m.Layers[0].MediaType != "application/wasm" || m.Layers[0].Annotations[ocispec.AnnotationTitle] != "hello.wasm" {
		t.Fatalf("manifest %+v", m)
	}
	var c map[string]any
	if err := json.Unmarshal(p.Memory[m.Config.Digest], &c); err != nil {
		t.Fatal(err)
	}
	if c["architecture"] != "wasm" || c["os"] != "wasip1" || c["created"] != "1970-01-01T00:00:00Z" ||
		c["layerDigests"].([]any)[0] != m.Layers[0].Digest.String() {
		t.Fatalf("config %v", c)
	}
	if p := pack(t, PackOptions{Shape: ShapeArtifact, Module: component}); !strings.Contains(string(p.Memory[configOf(t, p)]), `"os":"wasip2"`) {
		t.Fatal("a component is not for wasip2")
	}
	// containerd compares the number of root file system layers with the diff ids.
	for shape, n := range map[Shape]int{ShapeLinux: 1, ShapeWasm: 1, ShapeLayer: 0} {
		p := pack(t, PackOptions{Shape: shape})
		var c ocispec.Image
		if err := json.Unmarshal(p.Memory[configOf(t, p)], &c); err != nil {
			t.Fatal(err)
		}
		if len(c.RootFS.DiffIDs) != n || c.RootFS.Type != "layers" {
			t.Fatalf("shape %s: %+v", shape, c.RootFS)
		}
	}
}

func configOf(t *testing.T, p *Packed) digest.Digest {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(p.Memory[p.Manifest.Digest], &m); err != nil {
		t.Fatal(err)
	}
	return m.Config.Digest
}

func TestPackNamesTheImage(t *testing.T) {
	for ref, want := range map[string][2]string{
		"registry.example/app:v1": {"registry.example/app:v1", "v1"},
		"registry.example/app":    {"registry.example/app:latest", "latest"},
		"app":                     {"docker.io/library/app:latest", "latest"},
		"localhost:5000/a/b:c":    {"localhost:5000/a/b:c", "c"},
	} {
		a := pack(t, PackOptions{Ref: ref}).Manifest.Annotations
		if a["io.containerd.image.name"] != want[0] || a["org.opencontainers.image.ref.name"] != want[1] {
			t.Errorf("%s: %v", ref, a)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	for name, o := range map[string]PackOptions{
		"relative path":           {Path: "app.wasm"},
		"unclean path":            {Path: "/a/../b.wasm"},
		"unknown shape":           {Shape: "Z"},
		"artifact with arguments": {Shape: ShapeArtifact, Cmd: []string{"x"}},
		"artifact with files":     {Shape: ShapeArtifact, Files: []File{{Path: "/x"}}},
		"path twice":              {Files: []File{{Path: "/app.wasm"}}},
		"file as directory":       {Files: []File{{Path: "/app.wasm/x"}}},
		"escaping file":           {Files: []File{{Path: "/../x"}}},
		"platform of another":     {Shape: ShapeWasm, Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}},
		"bad name":                {Ref: "A B"},
		"not wasm":                {Module: []byte("#!/bin/sh")},
		"no module":               {Module: []byte{}},
	} {
		if o.Module == nil {
			o.Module = module
		}
		if _, err := Pack(o); !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLayoutRoundTrip(t *testing.T) {
	a := pack(t, PackOptions{Ref: "registry.example/a:1"})
	b := pack(t, PackOptions{Ref: "registry.example/b:1", Shape: ShapeArtifact})
	all := Memory{}
	for d, data := range a.Memory {
		all[d] = data
	}
	for d, data := range b.Memory {
		all[d] = data
	}
	dir := t.TempDir()
	tarball := filepath.Join(dir, "x.tar")
	f, err := os.Create(tarball)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(WriteTar(t.Context(), f, all, a.Manifest, b.Manifest), f.Close(), WriteDir(t.Context(), filepath.Join(dir, "d"), all, a.Manifest, b.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{tarball, filepath.Join(dir, "d")} {
		l, err := OpenLayout(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		for name, shape := range map[string]Shape{"registry.example/a:1": ShapeLinux, "registry.example/b:1": ShapeArtifact, b.Manifest.Digest.String(): ShapeArtifact} {
			d, err := l.Image(name)
			if err != nil {
				t.Fatal(err)
			}
			image, err := Inspect(t.Context(), l, d)
			if err != nil || image.Shape != shape {
				t.Fatalf("%s in %s: %+v, %v", name, where, image, err)
			}
		}
		if _, err := l.Image(""); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "registry.example/b:1") {
			t.Fatalf("got %v", err)
		}
		if _, err := l.Image("other"); !errdefs.IsNotFound(err) {
			t.Fatalf("got %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenLayoutRefuses(t *testing.T) {
	whole := tarOf(t, PackOptions{})
	for name, data := range map[string][]byte{
		"a module": module, "gzip": []byte("\x1f\x8b\x08xxxxxxxxx"), "text": []byte("hello"), "empty": nil,
		"truncated": whole[:len(whole)/2], "no layout": mustTar(t, File{Path: "/x"}),
		"bad index": mustTar(t, File{Path: "/oci-layout", Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, File{Path: "/index.json", Data: []byte("[")}),
		"no images": mustTar(t, File{Path: "/oci-layout", Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, File{Path: "/index.json", Data: []byte("{}")}),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.tar")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := OpenLayout(t.Context(), file)
			var r *Refusal
			if !errors.As(err, &r) || r.Remedy == "" || !strings.Contains(err.Error(), file) {
				t.Fatalf("got %v, %v", l, err)
			}
		})
	}
}

// TestDirLayoutDoesNotFollowLinksOut reads a blob that is a link.
func TestDirLayoutDoesNotFollowLinksOut(t *testing.T) {
	p := pack(t, PackOptions{})
	dir := t.TempDir()
	if err := WriteDir(t.Context(), dir, p, p.Manifest); err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(dir, blobName(p.Manifest.Digest))
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.Rename(blob, secret), os.Symlink(secret, blob)); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLayout(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := Inspect(t.Context(), l, p.Manifest); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Fatalf("got %v", err)
	}
}

func mustTar(t *testing.T, files ...File) []byte {
	t.Helper()
	data, err := layerTar(files, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzOpenTar(f *testing.F) {
	p, err := Pack(PackOptions{Module: module})
	if err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteTar(context.Background(), &out, p, p.Manifest); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(out.Bytes()[:2000])
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLayout(t.Context(), file)
		if err != nil {
			return
		}
		defer func() { _ = l.Close() }()
		for _, d := range l.Images() {
			image, err := Inspect(t.Context(), l, d)
			if err != nil {
				continue
			}
			_ = UnpackRootfs(t.Context(), l, image, t.TempDir(), UnpackLimits{Bytes: 1 << 20, Files: 100}) // must only return
		}
	})
}
