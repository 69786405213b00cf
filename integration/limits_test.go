package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// limited gives a container limits.
func limited(c *runtime.ContainerConfig, r *runtime.LinuxContainerResources) *runtime.ContainerConfig {
	if c.Linux == nil {
		c.Linux = &runtime.LinuxContainerConfig{}
	}
	c.Linux.Resources = r
	return c
}

// cpuShares measures how much of a CPU each container has for three seconds.
func cpuShares(t *testing.T, all ...*container) []float64 {
	t.Helper()
	sample := func(c *container) (used uint64, at time.Time) {
		eventually(t, "there are statistics", func() bool {
			before := time.Now()
			used = containerUsage(t, c).CPU.UsageCoreNanoSeconds.uint(t)
			at = before.Add(time.Since(before) / 2) // when it was read, give or take
			return used > 0
		})
		return used, at
	}
	used, at := make([]uint64, len(all)), make([]time.Time, len(all))
	for i, c := range all {
		used[i], at[i] = sample(c)
	}
	time.Sleep(3 * time.Second)
	out := make([]float64, len(all))
	for i, c := range all {
		now, then := sample(c)
		out[i] = float64(now-used[i]) / float64(then.Sub(at[i]).Nanoseconds())
	}
	return out
}

// atMost checks that a container has less than that of a CPU, however busy the
// machine is.
func atMost(t *testing.T, what string, share, most float64) {
	t.Helper()
	if share > most {
		t.Errorf("%s has %.3f of a CPU, more than %.2f", what, share, most)
	}
}

// freeUpTo checks that nothing but the machine keeps a container from that much of a
// CPU: it has it, or a quota hardly ever held it up in three seconds, which have 300
// periods.
func freeUpTo(t *testing.T, what string, c *container, least float64) (share float64) {
	t.Helper()
	before := heldUp(t, c)
	share = cpuShares(t, c)[0]
	if n := heldUp(t, c) - before; share < least && n > 100 {
		t.Errorf("%s has %.3f of a CPU, less than %.2f, and was held up %d times", what, share, least, n)
	}
	return share
}

// heldUp is how often the container's quota held it up, by the statistics of its task.
func heldUp(t *testing.T, c *container) int {
	t.Helper()
	out, err := theNode.Ctr(t.Context(), "task", "metrics", "--format", "json", c.ID)
	if err != nil {
		t.Fatal(err)
	}
	m := throttledPeriods.FindStringSubmatch(out)
	if m == nil {
		return 0 // zero is left out
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// throttledPeriods is the number in statistics of v1 or v2.
var throttledPeriods = regexp.MustCompile(`"(?:throttled_periods|nr_throttled)":\s*"?(\d+)`)

var threadsCgroup = regexp.MustCompile(`in cgroup (/[^"\\]*/container-[0-9a-f]+)`)

// CPU limits hold for each container, although they share a process, and follow
// `crictl update`.
func TestCPULimits(t *testing.T) {
	p := startPod(t)
	slow := p.start(t, limited(named("slow", busy("spin")), &runtime.LinuxContainerResources{CpuPeriod: 100_000, CpuQuota: 20_000}))
	free := p.start(t, named("free", busy("spin")))
	slow.says(t, "spinning")
	free.says(t, "spinning")
	contains(t, verbose(t, p), "CPU limits hold for the container: shares 1024, 2000 of every 10000 µs in cgroup /")

	got := cpuShares(t, slow, free)
	atMost(t, "the container with a fifth", got[0], 0.23)
	freeUpTo(t, "its sibling", free, 0.25)
	if slow, free := got[0], got[1]; free < slow*0.8 {
		t.Errorf("the sibling has %.3f of a CPU, less than %.3f", free, slow)
	}
	if got[0] > 0.18 && heldUp(t, slow) == 0 {
		t.Error("the statistics do not say that the container was held up")
	}

	crictl(t, "update", "--cpu-quota", "50000", "--cpu-share", "512", slow.ID)
	contains(t, verbose(t, p), "shares 512, 5000 of every 10000 µs in cgroup /")
	atMost(t, "the container that now has half", freeUpTo(t, "it", slow, 0.25), 0.55)

	// One that had no limits gets some while it runs, and its execs with it.
	crictl(t, "update", "--cpu-quota", "10000", "--cpu-period", "100000", free.ID)
	atMost(t, "the container that now has a tenth", cpuShares(t, free)[0], 0.13)
	crictl(t, "update", "--cpu-quota", "1000", free.ID)
	start := time.Now()
	if _, err := free.exec(t, "/app.wasm", "spin", "200"); err != nil {
		t.Fatal(err)
	}
	// It spins for 200 ms of wall time, but begins at a hundredth of the speed.
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("an exec was as fast as without its container's limit: %v", d)
	}
	crictl(t, "update", "--cpu-quota", "-1", free.ID)
	freeUpTo(t, "the container without a limit", free, 1)

	dirs := threadsCgroup.FindAllStringSubmatch(verbose(t, p), -1)
	if len(dirs) != 2 {
		t.Fatalf("the status names %d cgroups of containers: %s", len(dirs), verbose(t, p))
	}
	crictl(t, "rm", "-f", slow.ID)
	crictl(t, "rm", "-f", free.ID)
	for _, d := range dirs {
		found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", "*", d[1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range append(found, filepath.Join("/sys/fs/cgroup", d[1])) {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left of a removed container", dir)
			}
		}
	}
}

// A daemon that was killed finds the groups again.
func TestCPULimitsAfterRestart(t *testing.T) {
	p := startPod(t)
	k := p.start(t, limited(busy("spin"), &runtime.LinuxContainerResources{CpuShares: 300}))
	k.says(t, "spinning")
	killServe(t)
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	contains(t, verbose(t, p), "shares 300 in cgroup /")
	crictl(t, "update", "--cpu-quota", "20000", k.ID)
	contains(t, verbose(t, p), "shares 300, 2000 of every 10000 µs in cgroup /")
	atMost(t, "the container with a fifth", cpuShares(t, k)[0], 0.23)
	out, err := k.exec(t, "/app.wasm", "hello")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "hello from wasm")
}

// The memory limit of a running guest moves, but not below what it has.
func TestUpdateMemory(t *testing.T) {
	t.Parallel()
	const limit = 64 << 20
	p := startPod(t)
	same := p.start(t, limited(named("same", busy("grow", "24", "/go", "96")), &runtime.LinuxContainerResources{MemoryLimitInBytes: limit}))
	more := p.start(t, limited(named("more", busy("grow", "24", "/go", "96")), &runtime.LinuxContainerResources{MemoryLimitInBytes: limit}))
	for _, c := range []*container{same, more} {
		c.says(t, "MiB: 24")
	}
	_, err := theNode.Crictl(t.Context(), "update", "--memory", "1048576", more.ID)
	if err == nil {
		t.Fatal("the limit is below what the guest has")
	}
	contains(t, err.Error(), "1 MiB", "already")
	crictl(t, "update", "--memory", "268435456", more.ID)
	for _, c := range []*container{same, more} {
		if _, err := c.exec(t, "/app.wasm", "write", "/go", "on"); err != nil {
			t.Fatal(err)
		}
	}
	more.says(t, "MiB: 120")
	if s := same.exits(t, 137); !strings.Contains(s.Reason, "OOMKilled") && !strings.Contains(s.Message, "64 MiB") {
		t.Errorf("the guest over its limit ended by %q: %q", s.Reason, s.Message)
	}
}
