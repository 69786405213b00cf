//go:build v2guest

package inside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/linuximage"
	"blazar/internal/node"
)

var background = context.Background()

const mib = 1 << 20

// What is tested here is not to be had elsewhere.
func TestHierarchy(t *testing.T) {
	b, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	for _, c := range []string{"cpu", "cpuset", "io", "memory", "pids"} {
		if !slices.Contains(strings.Fields(string(b)), c) {
			t.Errorf("no controller %s in %q, %v", c, b, err)
		}
	}
	b, err = os.ReadFile("/proc/self/cgroup")
	if err != nil || !strings.HasPrefix(string(b), "0::") || strings.Count(string(b), "\n") != 1 {
		t.Errorf("there is more than v2: %s, %v", b, err)
	}
}

// The limits of a wasm pod, and of its containers, are in the kernel's files, follow
// changes, and go with the pod: one whose process was there before it, and one whose
// process was born in its group.
func TestWasmPod(t *testing.T) {
	t.Run("Prepared", func(t *testing.T) { testWasmPod(t, "true") })
	t.Run("Cold", func(t *testing.T) { testWasmPod(t, "false") })
}

func testWasmPod(t *testing.T, prepared string) {
	p := startPod(t, "blazar-wasm", func(c *runtime.PodSandboxConfig) {
		c.Annotations["blazar/prepared"] = prepared
		c.Linux.Resources = &runtime.LinuxContainerResources{MemoryLimitInBytes: 96 * mib, CpuQuota: 150_000, CpuPeriod: 100_000, CpuShares: 2048}
		c.Linux.Overhead = &runtime.LinuxContainerResources{MemoryLimitInBytes: 64 * mib}
	})
	if got := strings.Trim(fmt.Sprint(p.info(t)["start"]), `"`); (got == "prepared") != (prepared == "true") {
		t.Errorf("the pod's process was started so: %s", got)
	}
	dir := p.cgroup(t)
	pid := strings.Trim(fmt.Sprint(p.info(t)["pid"]), `"`)
	if b, err := os.ReadFile("/proc/" + pid + "/cgroup"); err != nil || "/sys/fs/cgroup"+strings.TrimSpace(strings.TrimPrefix(string(b), "0::")) != dir {
		t.Errorf("the pod's process is in %s, not in %s: %v", b, dir, err)
	}
	wants(t, dir, "memory.max", "167772160")
	wants(t, dir, "cpu.max", "150000 100000")

	slow := p.start(t, "slow", example("stubborn"), &runtime.LinuxContainerResources{CpuQuota: 20_000, CpuPeriod: 100_000})
	free := p.start(t, "free", example("stubborn"), nil)
	groups := threadGroups(t, dir)
	if len(groups) == 0 {
		t.Fatalf("no cgroup of threads below %s", dir)
	}
	quota := ""
	for _, g := range groups {
		if b, err := os.ReadFile(g + "/cpu.max"); err == nil && strings.TrimSpace(string(b)) == "2000 10000" {
			quota = g
		}
	}
	if quota == "" {
		t.Fatalf("none of %q has the quota of a fifth", groups)
	}
	before, at := stat(t, quota, "cpu.stat", "usage_usec"), time.Now()
	time.Sleep(4 * time.Second)
	share := float64(stat(t, quota, "cpu.stat", "usage_usec")-before) / float64(time.Since(at).Microseconds())
	if share > 0.25 || share == 0 {
		t.Errorf("the container with a fifth of a CPU has %.3f", share)
	}
	if stat(t, quota, "cpu.stat", "nr_throttled") == 0 {
		t.Error("it was never held up")
	}
	crictl(t, "update", "--cpu-quota", "50000", slow)
	wants(t, quota, "cpu.max", "5000 10000")

	t.Run("Stats", func(t *testing.T) {
		type number struct{ Value string }
		type usage struct {
			CPU    struct{ UsageCoreNanoSeconds number }
			Memory struct{ WorkingSetBytes number }
		}
		for _, id := range []string{slow, free} {
			eventually(t, "there are statistics of the container", func() bool {
				var list struct{ Stats []usage }
				decode(t, crictl(t, "stats", "-o", "json", "--id", id), &list)
				return len(list.Stats) == 1 && len(list.Stats[0].CPU.UsageCoreNanoSeconds.Value) > 8 && len(list.Stats[0].Memory.WorkingSetBytes.Value) > 4
			})
		}
		eventually(t, "there are statistics of the pod", func() bool {
			var list struct{ Stats []struct{ Linux usage } }
			decode(t, crictl(t, "statsp", "-o", "json", "--id", p.ID), &list)
			return len(list.Stats) == 1 && len(list.Stats[0].Linux.CPU.UsageCoreNanoSeconds.Value) > 8 && len(list.Stats[0].Linux.Memory.WorkingSetBytes.Value) > 6
		})
	})
	p.remove(t)
	for _, d := range append(groups, dir) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left of the pod: %v", d, err)
		}
	}
}

// A guest over its own limit ends alone, by its engine.
func TestGuestOOM(t *testing.T) {
	p := startPod(t, "blazar-wasm", func(*runtime.PodSandboxConfig) {})
	other := p.start(t, "other", example("stubborn"), nil)
	id := p.start(t, "leak", example("leak"), &runtime.LinuxContainerResources{MemoryLimitInBytes: 32 * mib})
	if s := exit(t, id); s.ExitCode != 137 || s.Reason != "OOMKilled" {
		t.Errorf("it ended with %d, %s: %s", s.ExitCode, s.Reason, s.Message)
	}
	if i, err := theNode.InspectContainer(t.Context(), other); err != nil || i.Status.State != "CONTAINER_RUNNING" {
		t.Errorf("its neighbour: %+v, %v", i, err)
	}
}

// The kernel ends a pod that is over its limit, and containerd is told.
func TestPodOOM(t *testing.T) {
	p := startPod(t, "blazar-wasm", func(c *runtime.PodSandboxConfig) {
		c.Linux.Resources = &runtime.LinuxContainerResources{MemoryLimitInBytes: 48 * mib}
		c.Linux.Overhead = &runtime.LinuxContainerResources{MemoryLimitInBytes: 32 * mib}
	})
	wants(t, p.cgroup(t), "memory.max", "83886080")
	events := oomEvents(t)
	id := p.start(t, "leak", example("leak"), nil)
	if s := exit(t, id); s.ExitCode == 0 || s.Reason != "OOMKilled" {
		t.Errorf("it ended with %d, %s: %s", s.ExitCode, s.Reason, s.Message)
	}
	if got := <-events; got != id {
		t.Errorf("the event of being out of memory is about %q, not %s", got, id)
	}
}

// A container of a Linux pod has its limits in the same files, the kernel ends it, and
// containerd is told.
func TestLinuxPod(t *testing.T) {
	p := startPod(t, node.RuncHandler, func(*runtime.PodSandboxConfig) {})
	hello := p.start(t, "hello", node.HelloImage, &runtime.LinuxContainerResources{MemoryLimitInBytes: 64 * mib})
	if s := exit(t, hello); s.ExitCode != 0 {
		t.Errorf("it ended with %d, %s: %s", s.ExitCode, s.Reason, s.Message)
	}
	events := oomEvents(t)
	id := p.start(t, "eat", linuximage.Busybox, &runtime.LinuxContainerResources{MemoryLimitInBytes: 32 * mib, CpuQuota: 20_000, CpuPeriod: 100_000},
		"sh", "-c", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; tail /dev/zero")
	if s := exit(t, id); s.ExitCode != 137 || s.Reason != "OOMKilled" {
		t.Errorf("it ended with %d, %s: %s", s.ExitCode, s.Reason, s.Message)
	}
	if got := crictl(t, "logs", id); !strings.Contains(got, "33554432\n20000 100000\n") {
		t.Errorf("its limits are %q", got)
	}
	if got := <-events; got != id {
		t.Errorf("the event of being out of memory is about %q, not %s", got, id)
	}
}
