package integration

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"blazar/internal/node"
)

// newModule is the raw guest as a module that nobody ever compiled: with a custom
// section (WebAssembly core specification, 5.5.3) of its own.
func newModule(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(guests, "raw.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return append(b, customSection()...)
}

// customSection says nothing, and makes a module unlike any other.
func customSection() []byte {
	name := rand.Text()
	return append([]byte{0, byte(len(name) + 1), byte(len(name))}, name...)
}

// load imports an image.
func load(t *testing.T, image *node.Image) {
	t.Helper()
	if err := theNode.LoadImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
}

// awaitCompiled waits until the daemon says that it compiled the module. On a busy
// machine that takes long: it has the lowest priority.
func awaitCompiled(t *testing.T, module []byte) {
	t.Helper()
	awaitLogged(t, "compiled ahead", digest.FromBytes(module).String())
}

// awaitLogged waits until the daemon says something of a module.
func awaitLogged(t *testing.T, what, module string) {
	t.Helper()
	logged := func(line string) bool {
		return strings.Contains(line, what) && strings.Contains(line, "module=\""+module)
	}
	for deadline := time.Now().Add(3 * time.Minute); !slices.ContainsFunc(strings.Split(theNode.Log("serve", 10_000), "\n"), logged); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of module %s there is no %q", module, what)
		}
	}
}

// compiledForPods counts the artifacts that are not the watcher's, which goes through
// the images that the node began with meanwhile.
func compiledForPods(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(theNode.Dir, "blazar", "cache", "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all) - strings.Count(theNode.Log("serve", 100_000), "compiled ahead")
}

// hits runs the image in a new pod and checks that nothing was compiled for it.
func hits(t *testing.T, image string, command ...string) {
	t.Helper()
	before := compiledForPods(t)
	p := startPod(t)
	c := node.Container("main", image, command...)
	c.Args = []string{"hello"}
	k := p.start(t, c)
	k.exit(t)
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Containers map[string]struct {
			Digest string
			Cached *bool
		}
	}
	b, err := json.Marshal(i.Info)
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		t.Fatal(err)
	}
	e := info.Containers[k.ID]
	if e.Cached == nil || !*e.Cached {
		t.Errorf("the first pod of %s had it compiled: %s", image, b)
	}
	// Eventually, since an artifact is there a little before the watcher says so.
	eventually(t, "nothing was compiled for the pod", func() bool { return compiledForPods(t) <= before })
}

// The first pod of an image finds it compiled. Not parallel: others would compile
// meanwhile.
func TestCompiledAhead(t *testing.T) {
	for _, c := range []struct {
		shape   string
		image   func(name string, module []byte) *node.Image
		command []string
	}{
		{"linux", func(name string, module []byte) *node.Image {
			return rootfsImage(name, linux, map[string][]byte{"app.wasm": module}, "/app.wasm")
		}, nil},
		{"wasip1", func(name string, module []byte) *node.Image {
			return rootfsImage(name, wasip1, map[string][]byte{"app.wasm": module}, "/app.wasm")
		}, nil},
		{"layer", layerImage, nil},
		{"artifact", func(name string, module []byte) *node.Image { return artifact(name, module) }, []string{"/"}},
	} {
		t.Run(c.shape, func(t *testing.T) {
			name, module := "test.invalid/ahead:"+c.shape, newModule(t)
			load(t, c.image(name, module))
			awaitCompiled(t, module)
			hits(t, name, c.command...)
		})
	}
}

// The watch goes on when either side was restarted, and finds what came meanwhile.
func TestCompiledAheadAfterRestarts(t *testing.T) {
	if err := theNode.RestartContainerd(t.Context(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	module := newModule(t)
	load(t, layerImage("test.invalid/ahead:containerd", module))
	awaitCompiled(t, module)
	hits(t, "test.invalid/ahead:containerd")

	theNode.KillServe()
	module = newModule(t)
	load(t, layerImage("test.invalid/ahead:serve", module))
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCompiled(t, module)
	hits(t, "test.invalid/ahead:serve")
}

// By hand, beside the daemon: a module before there is an image of it, and an image.
func TestCompiledByHand(t *testing.T) {
	module := newModule(t)
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, module, 0o600); err != nil {
		t.Fatal(err)
	}
	root := []string{"--root", filepath.Join(theNode.Dir, "blazar"), "--containerd", theNode.Containerd()}
	run := func(what string) string {
		return blazar(t, append(append([]string{"image", "precompile"}, root...), what)...)
	}
	contains(t, run(file), file, "compiled in")
	name := "test.invalid/ahead:hand"
	load(t, layerImage(name, module))
	hits(t, name)
	contains(t, run(name), name+": layer sha256:", "was compiled already")
}
