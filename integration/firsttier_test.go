package integration

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/engines"
	"blazar/internal/node"
)

// tieredEngine is the engine with a baseline compiler.
const tieredEngine = "wasmtime"

// described is what a pod's verbose status says of a container.
type described struct {
	Engine, Digest string
	FirstTier      string `json:"first_tier"`
	Cached         *bool
}

// containersOf are those of the verbose status.
func containersOf(t *testing.T, p *pod) map[string]described {
	t.Helper()
	var all map[string]described
	decode(t, text(t, podInfo(t, p)["containers"]), &all)
	return all
}

// toolImage has a second module, which no watcher knows of, since the image's own
// command is another: a Go program of some megabytes that was never compiled.
func toolImage(t *testing.T, name string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(guests, "raw.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	tool, err := os.ReadFile(filepath.Join(guests, "busy.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	load(t, rootfsImage(name, linux, map[string][]byte{"raw.wasm": raw, "tool.wasm": append(tool, customSection()...)}, "/raw.wasm"))
}

// runTool runs the tool in a pod of its own and returns what is known of the container.
func runTool(t *testing.T, image string, annotations map[string]string, args ...string) (*pod, *container, described) {
	t.Helper()
	p := startPod(t, annotate("blazar/engine", tieredEngine), func(c *runtime.PodSandboxConfig) { maps.Copy(c.Annotations, annotations) })
	c := node.Container("main", image, "/tool.wasm")
	c.Args = args
	k := p.start(t, c)
	return p, k, containersOf(t, p)[k.ID]
}

// The first container of a large module starts on baseline code, and does all that
// containers do; the next one gets optimised code, which was made meanwhile.
func TestFirstTier(t *testing.T) {
	const image = "test.invalid/first-tier:auto"
	toolImage(t, image)
	_, k, first := runTool(t, image, nil, "hello")
	k.exits(t, 0)
	if first.Engine != tieredEngine+engines.BaselineSuffix || first.FirstTier == "" || first.Cached == nil || *first.Cached {
		t.Errorf("the first one: %+v", first)
	}
	k.says(t, "hello")
	awaitOptimised(t, image)
}

// awaitOptimised starts containers of the tool until one gets optimised code. The second
// already gives its compiler more of the processor, on a machine that has none to spare.
func awaitOptimised(t *testing.T, image string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		p, k, d := runTool(t, image, nil, "hello")
		k.exit(t)
		p.remove(t)
		if d.Engine == tieredEngine && d.FirstTier == "" && *d.Cached {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no optimised code: %+v", d)
		}
	}
}

// Servers wait for optimised code.
func TestNoFirstTier(t *testing.T) {
	const image = "test.invalid/first-tier:server"
	toolImage(t, image)
	_, k, d := runTool(t, image, map[string]string{"blazar/listen": "tcp:127.0.0.1:18391"}, "hello")
	k.exits(t, 0)
	if d.Engine != tieredEngine || d.FirstTier != "" || d.Cached == nil || *d.Cached {
		t.Errorf("%+v", d)
	}
}

// A guest on baseline code is killed as fast as any other, while it computes too.
func TestFirstTierIsKilled(t *testing.T) {
	const image = "test.invalid/first-tier:kill"
	toolImage(t, image)
	_, k, d := runTool(t, image, nil, "spin")
	k.says(t, "spinning")
	if d.FirstTier == "" {
		t.Errorf("%+v", d)
	}
	k.stop(t, "0")
	k.exits(t, 137)
	awaitOptimised(t, image) // or its compiler is left behind
}
