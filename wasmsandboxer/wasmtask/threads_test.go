package wasmtask

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// groupFiles are regular files in place of a cgroup's: what is written stays to be
// read.
type groupFiles struct{ dir string }

func (g groupFiles) open(t *testing.T) func() []*os.File {
	return func() []*os.File {
		var files []*os.File
		for _, name := range []string{"cpu", "cpuset"} {
			f, err := os.OpenFile(filepath.Join(g.dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		stat := filepath.Join(g.dir, "cpu.stat")
		if err := os.WriteFile(stat, []byte("nr_periods 70\nnr_throttled 60\nthrottled_time 5000000\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(stat)
		if err != nil {
			t.Fatal(err)
		}
		return append(files, f)
	}
}

func (g groupFiles) written(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func update(c task.Container, t *testing.T, r *specs.LinuxResources) error {
	t.Helper()
	return c.(task.Updater).Update(t.Context(), r, nil)
}

func TestThreadsEnterTheirGroup(t *testing.T) {
	g := groupFiles{t.TempDir()}
	h := newHost(t, "sleep")
	h.threads = g.open(t)
	c := create(t, h)
	if s := g.written(t, "cpu"); s != "" {
		t.Errorf("%q entered before the start", s)
	}
	start(t, c)
	for _, name := range []string{"cpu", "cpuset"} { // before Start has answered
		if s := g.written(t, name); s != "0" {
			t.Errorf("%q was written to %s by the guest's thread", s, name)
		}
	}
	readUntil(t, h.stdout, "sleeping\n")
	x := execOf(t, c, "exit", "3")
	start(t, x)
	if got := wait(t, x); got != 3 || g.written(t, "cpu") != "00" {
		t.Errorf("an exec wrote %q and ended with %d", g.written(t, "cpu"), got)
	}
	m, err := c.(task.Meter).Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := m.(*cgroup1.Metrics).GetCPU().GetThrottling()
	if held.GetPeriods() != 70 || held.GetThrottledPeriods() != 60 || held.GetThrottledTime() != 5_000_000 {
		t.Errorf("statistics of v1: %v", held)
	}
	c.(*container).rt.hello.CgroupV2 = true
	if m, err = c.(task.Meter).Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cpu := m.(*cgroup2.Metrics).GetCPU(); cpu.GetNrPeriods() != 70 || cpu.GetNrThrottled() != 60 || cpu.GetThrottledUsec() != 5000 {
		t.Errorf("statistics of v2: %v", cpu)
	}
}

// A guest that cannot be held to its limits does not run.
func TestGroupThatCannotBeEntered(t *testing.T) {
	h := newHost(t, "echo", "out", "err")
	h.threads = func() []*os.File {
		var files []*os.File
		for range 2 {
			f, err := os.Open(os.DevNull) // not for writing
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		return files
	}
	c := create(t, h)
	if _, err := c.Start(t.Context()); !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), "CPU limits") {
		t.Errorf("the start answers %v", err)
	}
	if err := c.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if out := read(t, h.stdout); out != "" {
		t.Errorf("the guest ran: %q", out)
	}
}

// Limits that come later catch the threads that run.
func TestUpdateMovesRunningThreads(t *testing.T) {
	h := newHost(t, "sleep")
	c := create(t, h)
	start(t, c)
	readUntil(t, h.stdout, "sleeping\n")
	g := groupFiles{t.TempDir()}
	h.threads = g.open(t)
	var asked []hostapi.UpdateRequest
	h.update = func(q hostapi.UpdateRequest) error {
		asked = append(asked, q)
		return nil
	}
	quota, shares, period := int64(20_000), uint64(512), uint64(100_000)
	if err := update(c, t, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Shares: &shares, Period: &period, Cpus: "1"}}); err != nil {
		t.Fatal(err)
	}
	want := hostapi.UpdateRequest{Container: "c", CPU: hostapi.CPU{Shares: 512, Quota: 20_000, Period: 100_000, CPUs: "1"}}
	if len(asked) != 1 || asked[0] != want {
		t.Errorf("the host was asked for %+v, not %+v", asked, want)
	}
	tid, err := strconv.Atoi(g.written(t, "cpu"))
	if err != nil || tid == unix.Getpid() {
		t.Fatalf("thread %d, %v", tid, err)
	}
	if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid)); err != nil {
		t.Errorf("what was moved is no thread of this process: %v", err)
	}
	x := execOf(t, c, "exit", "0")
	start(t, x)
	if s := g.written(t, "cpu"); s != strconv.Itoa(tid)+"0" {
		t.Errorf("an exec after the update: %q was written", s)
	}
	wait(t, x)
}

func TestUpdateMemory(t *testing.T) {
	h := newHost(t, "sleep")
	h.reply.MemoryLimit = 16 << 20
	c := create(t, h)
	start(t, c)
	readUntil(t, h.stdout, "sleeping\n")
	to := func(bytes int64) *specs.LinuxResources {
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &bytes}}
	}
	limit := func() uint64 {
		m, err := c.(task.Meter).Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m.(*cgroup1.Metrics).GetMemory().GetUsage().GetLimit()
	}
	if err := update(c, t, to(32<<20)); err != nil || limit() != 32<<20 {
		t.Errorf("raised: %v, the limit is %d", err, limit())
	}
	if err := update(c, t, to(1)); !errdefs.IsFailedPrecondition(err) || limit() != 32<<20 {
		t.Errorf("a byte: %v, the limit is %d", err, limit())
	}
	h.update = func(hostapi.UpdateRequest) error { return errdefs.ErrUnavailable }
	both := to(48 << 20)
	both.CPU = &specs.LinuxCPU{Cpus: "0"}
	if err := update(c, t, both); !errdefs.IsUnavailable(err) || limit() != 32<<20 {
		t.Errorf("with a CPU limit that is refused: %v, the limit is %d", err, limit())
	}
	// An exec that was made before, and begins afterwards.
	x := execOf(t, c, "leak")
	if err := update(c, t, to(20<<20)); err != nil {
		t.Error(err)
	}
	start(t, x)
	if got := wait(t, x); got != 137 {
		t.Errorf("exit code of an exec that leaks: %d", got)
	}
	if words := read(t, h.stderr); !strings.Contains(words, "memory limit of 20 MiB exceeded") {
		t.Errorf("stderr %q", words)
	}
	if err := update(c, t, to(-1)); err != nil || limit() != unlimited {
		t.Errorf("none: %v, the limit is %d", err, limit())
	}
}

// An update that comes too late makes nothing that nobody takes away.
func TestUpdateAfterDelete(t *testing.T) {
	h := newHost(t, "echo", "a", "b")
	c := create(t, h)
	start(t, c)
	wait(t, c)
	if err := c.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.update = func(hostapi.UpdateRequest) error {
		t.Error("the host was asked")
		return nil
	}
	if err := update(c, t, &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}); !errdefs.IsNotFound(err) {
		t.Errorf("the error is %v", err)
	}
}

func TestParseThrottling(t *testing.T) {
	for text, want := range map[string]throttling{
		"": {},
		"nr_periods 3\nnr_throttled 2\nthrottled_time 1500\n":                                                     {3, 2, 1500},
		"usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 7\nnr_bursts 0\n": {3, 2, 7 * time.Microsecond},
		"nr_periods x\nnr_throttled\nthrottled_time -1\n\n":                                                       {},
	} {
		if got := parseThrottling([]byte(text)); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
