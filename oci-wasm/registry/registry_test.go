package registry

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/registry"

	ociwasm "blazar/oci-wasm"
)

// module is the smallest there is.
var module = []byte("\x00asm\x01\x00\x00\x00")

// serve runs a registry behind a handler that may spoil its answers.
func serve(t *testing.T, spoil func(next http.Handler) http.Handler) string {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", filepath.Join(t.TempDir(), "none"))
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if spoil != nil {
		h = spoil(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func open(t *testing.T, ref string) *Repository {
	t.Helper()
	r, err := Open(ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPushAndInspect(t *testing.T) {
	host := serve(t, nil)
	p, err := ociwasm.Pack(ociwasm.PackOptions{Module: module, Shape: ociwasm.ShapeArtifact, Ref: host + "/app"})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, host+"/app")
	if r.Name() != host+"/app:latest" {
		t.Fatalf("name %s", r.Name())
	}
	for range 2 { // a second time changes nothing
		if err := r.Push(t.Context(), p, p.Manifest); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"/app", "/app:latest", "/app@" + p.Manifest.Digest.String()} {
		r := open(t, host+ref)
		d, err := r.Resolve(t.Context())
		if err != nil || d.Digest != p.Manifest.Digest {
			t.Fatalf("%s: %v, %v", ref, d, err)
		}
		image, err := ociwasm.Inspect(t.Context(), r, d)
		if err != nil || image.Shape != ociwasm.ShapeArtifact {
			t.Fatalf("%+v, %v", image, err)
		}
		blob, err := ociwasm.OpenModule(t.Context(), r, *image.Module)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(blob)
		if err != nil || !bytes.Equal(got, module) {
			t.Fatalf("%q, %v", got, err)
		}
		if err := blob.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissing(t *testing.T) {
	host := serve(t, nil)
	if _, err := open(t, host+"/none:v1").Resolve(t.Context()); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "/none:v1") {
		t.Fatalf("got %v", err)
	}
	if _, err := Open("no reference", Options{}); !errdefs.IsInvalidArgument(err) {
		t.Fatalf("got %v", err)
	}
}

// TestSpoiltBlobs has the registry answer with other bytes of the same length.
func TestSpoiltBlobs(t *testing.T) {
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
				next.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			body := answer.Body.Bytes()
			if len(body) > 0 {
				body[len(body)/2] ^= 1
			}
			for k, v := range answer.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(answer.Code)
			_, _ = w.Write(body) // the client may be gone
		})
	})
	p, err := ociwasm.Pack(ociwasm.PackOptions{Module: module})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, host+"/app")
	if err := r.Push(t.Context(), p, p.Manifest); err != nil {
		t.Fatal(err)
	}
	if _, err := ociwasm.Inspect(t.Context(), r, p.Manifest); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "digest") {
		t.Fatalf("got %v", err)
	}
}

// TestHangingRegistry never answers: the context decides.
func TestHangingRegistry(t *testing.T) {
	release := make(chan struct{})
	host := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := open(t, host+"/app").Resolve(ctx); err == nil || time.Since(start) > 5*time.Second {
		t.Fatalf("got %v after %v", err, time.Since(start))
	}
}

func TestPlainHTTPOnThisMachineOnly(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.8.8.8": true, "[::1]:5000": true, "[::1]": true,
		"registry.example": false, "registry.example:5000": false, "10.0.0.1:80": false, "localhost.example": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}
