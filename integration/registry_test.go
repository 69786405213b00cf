package integration

import (
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"blazar/internal/node"
)

// An image travels from a module to a pod: packed and pushed by blazar, pulled
// through CRI.
func TestPushAndPull(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	p := startPod(t)
	for _, shape := range []string{"A", "B", "C", "D"} {
		t.Run(shape, func(t *testing.T) {
			name := host + "/busy:" + strings.ToLower(shape)
			blazar(t, "image", "build", "--shape", shape, "--name", name, "--push", filepath.Join(guests, "busy.wasm"))
			crictl(t, "pull", name)
			c := node.Container(strings.ToLower(shape), name)
			if shape == "D" { // an artifact has no command line
				c.Command = []string{"/"}
			}
			c.Args = []string{"hello"}
			k := p.start(t, c)
			k.exits(t, 0)
			contains(t, k.logs(t), "hello from wasm")
		})
	}
}

// blazar runs the program that was built, which must succeed.
func blazar(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../bin/blazar", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("blazar %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
