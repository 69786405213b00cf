package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The verbose status has what a person needs who debugs a pod.
func TestVerboseStatus(t *testing.T) {
	t.Parallel()
	const memory = 96 << 20
	p := startPod(t, annotate("blazar/engine", "wazero"), func(c *runtime.PodSandboxConfig) {
		c.Linux.Resources = &runtime.LinuxContainerResources{MemoryLimitInBytes: memory, CpuQuota: 50000, CpuPeriod: 100000}
		c.Linux.Overhead = &runtime.LinuxContainerResources{MemoryLimitInBytes: 32 << 20}
	})
	k := p.run(t, "sleep")
	k.says(t, "sleeping")
	info := podInfo(t, p)

	var limits struct {
		Memory struct{ Limit int64 }
		CPU    struct{ Quota, Period int64 }
	}
	decode(t, text(t, info["limits"]), &limits)
	if limits.Memory.Limit != memory+32<<20 || limits.CPU.Quota != 50000 || limits.CPU.Period != 100000 {
		t.Errorf("limits %v", info["limits"])
	}
	if info["kind"] != "wasm" || info["phase"] != "started" || info["runtime_handler"] != "blazar-wasm" {
		t.Errorf("kind %v, phase %v, handler %v", info["kind"], info["phase"], info["runtime_handler"])
	}
	contains(t, text(t, info["engine"]), "wazero (", "blazar/engine")
	if info["blazar"] == nil || info["blazar"] == "" {
		t.Error("no version of blazar")
	}

	pid := podPid(t, p)
	if uid := text(t, info["uid"]); !strings.HasPrefix(procStatus(t, pid)["Uid"], uid) {
		t.Errorf("uid %s, process %d has %s", uid, pid, procStatus(t, pid)["Uid"])
	}
	cgroup, err := os.ReadFile(filepath.Join("/proc", text(t, info["pid"]), "cgroup"))
	if err != nil || !strings.Contains(string(cgroup), text(t, info["cgroup"])) {
		t.Errorf("cgroup %v, the process is in %s, %v", info["cgroup"], cgroup, err)
	}
	var paths map[string]string
	decode(t, text(t, info["paths"]), &paths)
	for name, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("path %s: %v", name, err)
		}
	}
	if len(paths) < 5 {
		t.Errorf("paths %v", paths)
	}

	var containers map[string]struct{ Engine, Reason, Version, Name, Digest string }
	decode(t, text(t, info["containers"]), &containers)
	c := containers[k.ID]
	if c.Engine != "wazero" || c.Version == "" || !strings.Contains(c.Reason, "blazar/engine") ||
		!strings.Contains(c.Name, "app.wasm") || !strings.HasPrefix(c.Digest, "sha256:") {
		t.Errorf("container %+v of %v", c, info["containers"])
	}
}

// podInfo is the verbose status of a pod.
func podInfo(t *testing.T, p *pod) map[string]any {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	return i.Info
}

// text is a value of the verbose status as it is written: crictl prints what is JSON as
// such, and other values as strings.
func text(t *testing.T, v any) string {
	t.Helper()
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
