package precompile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"blazar/engines"
	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/wazero"
	"blazar/internal/testdir"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/artifact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inProcess compiles with the real engine, here, and counts.
type inProcess struct {
	registry *engines.Registry
	n        atomic.Int32
}

func (c *inProcess) Compile(ctx context.Context, engine string, module *os.File, dir string) error {
	c.n.Add(1)
	e, err := c.registry.Open(ctx, engine)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(module)
	if err != nil {
		return err
	}
	return e.Compile(ctx, b, dir)
}

// newCompiler makes one for wazero with a cache of its own.
func newCompiler(t *testing.T) (*Compiler, *inProcess) {
	t.Helper()
	r := &engines.Registry{}
	r.Register(wazero.Name, wazero.New)
	r.Register("absent", func(context.Context) (engines.Engine, error) {
		return nil, fmt.Errorf("its library is missing: %w", errdefs.ErrUnavailable)
	})
	x := &inProcess{registry: r}
	cache, err := ociwasm.OpenCache(filepath.Join(testdir.New(t), "cache"), ociwasm.CacheOptions{Compiler: x})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Compiler{Registry: r, Engines: []string{wazero.Name}, Cache: cache, Scratch: t.TempDir()}, x
}

// guest is a module unlike those with another n.
func guest(n int) []byte {
	var m wasmgen.Module
	m.Command("_start", nil, wasmgen.Nop)
	m.Custom("n", []byte(fmt.Sprint(n)))
	return m.Bytes()
}

func pack(t *testing.T, o ociwasm.PackOptions) *ociwasm.Packed {
	t.Helper()
	p, err := ociwasm.Pack(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestShapes compiles a module however it is packed, under the key that a pod asks
// the cache for.
func TestShapes(t *testing.T) {
	for _, shape := range []ociwasm.Shape{ociwasm.ShapeLinux, ociwasm.ShapeWasm, ociwasm.ShapeLayer, ociwasm.ShapeArtifact} {
		t.Run(string(shape), func(t *testing.T) {
			c, x := newCompiler(t)
			p := pack(t, ociwasm.PackOptions{Module: guest(1), Shape: shape, Compress: shape == ociwasm.ShapeLinux})
			for _, hit := range []bool{false, true} {
				r, err := c.Image(t.Context(), p, p.Manifest)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Results) != 1 || r.Err() != nil || r.Results[0].Hit != hit || r.Digest != digest.FromBytes(guest(1)) {
					t.Fatalf("got %+v", r)
				}
			}
			e, err := c.Registry.Open(t.Context(), wazero.Name)
			if err != nil {
				t.Fatal(err)
			}
			a, err := c.Cache.Lookup(artifact.Key(digest.FromBytes(guest(1)), e.Info()))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Release()
			m, err := e.Load(t.Context(), a.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil || x.n.Load() != 1 {
				t.Fatalf("%v, %d compilations", err, x.n.Load())
			}
			if left, err := os.ReadDir(c.Scratch); err != nil || len(left) > 0 {
				t.Fatalf("left %v, %v", left, err)
			}
		})
	}
}

// TestUnpromising looks into Linux images only where something says wasm, unless
// it is told to.
func TestUnpromising(t *testing.T) {
	c, _ := newCompiler(t)
	p := pack(t, ociwasm.PackOptions{Module: guest(1), Path: "/app"})
	if _, err := c.Image(t.Context(), p, p.Manifest); !errors.Is(err, ErrNoModule) || !strings.Contains(err.Error(), `"/app"`) {
		t.Fatalf("got %v", err)
	}
	c.Thorough = true
	if r, err := c.Image(t.Context(), p, p.Manifest); err != nil || r.Err() != nil || r.Place != "/app" {
		t.Fatalf("got %+v, %v", r, err)
	}
	c.Thorough = false
	p = pack(t, ociwasm.PackOptions{Module: guest(1), Path: "/app", Annotations: map[string]string{ociwasm.VariantAnnotation: "compat"}})
	if r, err := c.Image(t.Context(), p, p.Manifest); err != nil || r.Err() != nil {
		t.Fatalf("got %+v, %v", r, err)
	}
}

// TestFailures says what is wrong with an image, or with one engine of several.
func TestFailures(t *testing.T) {
	c, _ := newCompiler(t)
	c.Engines = []string{wazero.Name, "absent"}
	good := pack(t, ociwasm.PackOptions{Module: guest(1)})
	r, err := c.Image(t.Context(), good, good.Manifest)
	if err != nil || r.Results[0].Err != nil || !errdefs.IsUnavailable(r.Results[1].Err) {
		t.Fatalf("got %+v, %v", r, err)
	}

	component := pack(t, ociwasm.PackOptions{Module: []byte("\x00asm\x0d\x00\x01\x00"), Shape: ociwasm.ShapeArtifact})
	if r, err := c.Image(t.Context(), component, component.Manifest); err != nil || !errdefs.IsNotImplemented(r.Results[0].Err) {
		t.Fatalf("got %+v, %v", r, err)
	}

	missing := pack(t, ociwasm.PackOptions{Module: guest(1), Entrypoint: []string{"/other.wasm"}})
	if _, err := c.Image(t.Context(), missing, missing.Manifest); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "/other.wasm") {
		t.Fatalf("got %v", err)
	}

	chart := ocispec.Descriptor{MediaType: "application/vnd.example.chart", Digest: good.Manifest.Digest, Size: good.Manifest.Size}
	if _, err := c.Image(t.Context(), good, chart); !errors.Is(err, ErrNoModule) {
		t.Fatalf("got %v", err)
	}

	pulled := ociwasm.Memory{}
	if _, err := c.Image(t.Context(), pulled, good.Manifest); !errdefs.IsNotFound(err) || errors.Is(err, ErrNoModule) {
		t.Fatalf("got %v", err)
	}
}

func TestFile(t *testing.T) {
	c, _ := newCompiler(t)
	name := filepath.Join(t.TempDir(), "app.wasm")
	for _, x := range []struct {
		data string
		kind error
	}{{string(guest(3)), nil}, {"\x7fELF", errdefs.ErrNotImplemented}, {"\x00asm\x01\x00\x00\x00\x77", errdefs.ErrInvalidArgument}} {
		if err := os.WriteFile(name, []byte(x.data), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.File(t.Context(), name, f)
		if err != nil || !errors.Is(r.Err(), x.kind) {
			t.Errorf("%q: %+v, %v", x.data, r, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestResolve(t *testing.T) {
	r := &engines.Registry{}
	r.Register("best", wazero.New)
	r.Register("other", wazero.New)
	for _, x := range []struct {
		names      []string
		configured string
		want       string
	}{
		{[]string{Default}, "", "[best]"}, {[]string{Default}, "other", "[other]"}, {nil, "", "[]"},
		{[]string{"other", Default, "best"}, "", "[other best]"},
	} {
		got, err := Resolve(x.names, x.configured, r)
		if err != nil || fmt.Sprint(got) != x.want {
			t.Errorf("%v: %v, %v", x, got, err)
		}
	}
	for _, x := range []struct{ name, configured string }{{"v8", ""}, {Default, "v8"}} {
		if _, err := Resolve([]string{x.name}, x.configured, r); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "best") {
			t.Errorf("%v: %v", x, err)
		}
	}
}
