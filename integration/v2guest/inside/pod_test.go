//go:build v2guest

package inside

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// pod is a running pod, removed when its test ends.
type pod struct {
	ID     string
	Config *runtime.PodSandboxConfig
	gone   bool
}

// startPod runs a pod in the network of the host; change is made to its configuration.
func startPod(t *testing.T, handler string, change func(*runtime.PodSandboxConfig)) *pod {
	t.Helper()
	c := theNode.Pod(strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	node.HostNetwork(c)
	change(c)
	id, err := theNode.RunPod(t.Context(), handler, c)
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{ID: id, Config: c}
	t.Cleanup(func() { p.remove(t) })
	return p
}

// remove removes the pod; once more does no harm.
func (p *pod) remove(t *testing.T) {
	t.Helper()
	if !p.gone {
		crictl(t, "rmp", "-f", p.ID)
		p.gone = true
	}
}

// start starts a container of an example's image with limits, and returns its id.
func (p *pod) start(t *testing.T, name, image string, r *runtime.LinuxContainerResources, args ...string) string {
	t.Helper()
	c := node.Container(name, image)
	c.Args = args
	c.Linux.Resources = r
	id, err := theNode.CreateContainer(t.Context(), p.ID, c, p.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := theNode.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

func example(name string) string { return "blazar.example/" + name + ":latest" }

// crictl runs crictl, which must succeed.
func crictl(t *testing.T, args ...string) string {
	t.Helper()
	// A cleanup runs when the test's own context has ended.
	out, err := theNode.CrictlCommand(background, args...).CombinedOutput()
	if err != nil {
		t.Errorf("crictl %q: %v: %s", args, err, out)
	}
	return string(out)
}

// info is the pod's verbose status.
func (p *pod) info(t *testing.T) map[string]any {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	return i.Info
}

// cgroup is the directory of the pod's cgroup, of what its verbose status says.
func (p *pod) cgroup(t *testing.T) string {
	t.Helper()
	info := p.info(t)
	path := strings.Trim(fmt.Sprint(info["cgroup"]), `"`)
	if path == "" || path == "<nil>" {
		t.Fatalf("the pod names no cgroup: %v", info)
	}
	return filepath.Join("/sys/fs/cgroup", path)
}

// exit waits until a container has ended.
func exit(t *testing.T, id string) node.ContainerStatus {
	t.Helper()
	var s node.ContainerStatus
	eventually(t, "the container has ended", func() bool {
		i, err := theNode.InspectContainer(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		s = i.Status
		return s.State == "CONTAINER_EXITED"
	})
	return s
}

// wants checks a file of a cgroup.
func wants(t *testing.T, dir, file, want string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	if got := strings.TrimSpace(string(b)); err != nil || got != want {
		t.Errorf("%s of %s is %q, want %q: %v", file, dir, got, want, err)
	}
}

// stat is a line of a file of a cgroup like cpu.stat.
func stat(t *testing.T, dir, file, key string) uint64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s of %s has no %s: %s", file, dir, key, b)
	return 0
}

// threadGroups are the cgroups of the containers below the pod's.
func threadGroups(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*", "*/*"} {
		all, err := filepath.Glob(filepath.Join(dir, pattern, "cgroup.type"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if b, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(b)) == "threaded" {
				found = append(found, filepath.Dir(f))
			}
		}
	}
	return found
}

// decode reads what crictl prints.
func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s", patience, what)
		}
	}
}
