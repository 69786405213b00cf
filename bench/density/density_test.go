package density

import (
	"bufio"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"blazar/bench/internal/report"
)

const rollup = `55d0c0a00000-7ffc38916000 ---p 00000000 00:00 0                          [rollup]
Rss:                1704 kB
Pss:                 204 kB
Pss_Dirty:           112 kB
Shared_Clean:       1552 kB
Private_Clean:        40 kB
Private_Dirty:       112 kB
Swap:                 12 kB
SwapPss:               8 kB
`

func TestParseRollup(t *testing.T) {
	m, err := parseRollup([]byte(rollup))
	if want := (memory{pss: 212 << 10, private: 160 << 10}); err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range []string{"", strings.Replace(rollup, "Private_Clean:", "Other:", 1), strings.Replace(rollup, "204 kB", "x kB", 1)} {
		if m, err := parseRollup([]byte(bad)); err == nil {
			t.Errorf("%+v out of %q", m, bad)
		}
	}
}

// What a process holds is seen: the memory that a child has written to.
func TestMemoryOf(t *testing.T) {
	const size = 64 << 20
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `x=$(head -c 67108864 /dev/zero | tr '\0' x); echo ready; read line`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // read fails at the end of its input
	}()
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the child ended")
	}
	m, err := memoryOf(cmd.Process.Pid)
	if err != nil || m.private < size || m.pss < m.private || m.tables <= 0 || m.private > 8*size {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := memoryOf(1 << 30); !os.IsNotExist(err) {
		t.Errorf("a process that is not there: %v", err)
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		cgroups      string
		belongs, pod bool
	}{
		{"0::/bz12/node\n", true, false},
		{"3:memory:/user\n2:pids:/bz12/pods/abc\n0::/\n", true, true},
		{"2:pids:/bz12/pods/abc/container-1\n", true, true},
		{"2:pids:/bz123/pods/abc\n", false, false},
		{"2:pids:/x/bz12/pods\n", false, false},
		{"", false, false},
	} {
		if belongs, pod := within(c.cgroups, "bz12"); belongs != c.belongs || pod != c.pod {
			t.Errorf("%q: %v, %v", c.cgroups, belongs, pod)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		args string
		pod  bool
		want group
	}{
		{"/n/bin/blazar serve --state x", false, serve},
		{"/n/bin/blazar taskd", false, taskd},
		{"/n/bin/blazard taskd --state x", false, taskd},
		{"/n/bin/pod-reaper", false, podProcesses},
		{"/n/bin/blazar compile", false, others},
		{"/t/containerd --config x", false, containerd},
		{"/t/containerd-shim-runc-v2 -id x", false, shims},
		{"/t/containerd-shim-runc-v2 -id x", true, shims},
		{"wasm-task", true, podProcesses},
		{"wasm-task", false, podProcesses},
		{"/lib/ld-linux-x86-64.so.2 --preload x wasm-task", false, podProcesses},
		{"/program sleep", true, podProcesses},
		{"", false, others},
	} {
		if got := classify(strings.Split(c.args, " "), c.pod); got != c.want {
			t.Errorf("%q, pod %v: %q, want %q", c.args, c.pod, got, c.want)
		}
	}
}

// This process is found by its cgroup, and counted.
func TestUsageOf(t *testing.T) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		path := strings.TrimPrefix(strings.SplitN(strings.TrimSpace(line), ":", 3)[2], "/")
		name, _, _ := strings.Cut(path, "/")
		if name == "" {
			continue
		}
		u, err := usageOf(name)
		if err != nil || u.count[others]+u.count[podProcesses] == 0 || total.of(u) <= 0 {
			t.Errorf("cgroup %s: %+v, %v", name, u, err)
		}
	}
	u, err := usageOf("none-of-this-name")
	if err != nil || len(u.count) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

// grown is a series of pods that hold 10 MiB at once and 2 MiB each, but for the first
// one, whose program nobody shares.
func grown(label string) *series {
	s := &series{label: label}
	for _, n := range []int{1, 10, 50, 100} {
		private := float64(n) * (2 << 20)
		if n == 1 {
			private += 30 << 20
		}
		s.points = append(s.points, point{n, &usage{memory: map[group]memory{
			podProcesses: {private: private, pss: private},
			serve:        {pss: 10<<20 + float64(n)*(40<<10)},
			shims:        {pss: float64(n) * (5 << 20)},
		}}})
	}
	return s
}

func TestRatios(t *testing.T) {
	m := &measurement{
		section: &report.Section{}, pods: []*series{grown("wasm"), grown("runc"), grown("blazar-runc")}, containers: []*series{grown("wasm")},
		linear: map[string]float64{"wasm": 1 << 20},
	}
	if err := m.show(); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"density/pod/wasm:runc": 1, "density/pod/blazar-runc:runc": 1, "density/management/blazar-runc:runc": 40.0 / (5 << 10), "density/pod-private": 2 << 20, "density/daemons-per-pod": 40 << 10,
		"density/daemons-at-50-pods": 10<<20 + 50*(40<<10), "density/container-beyond-linear-memory": 1 << 20,
	}
	for _, r := range m.section.Ratios {
		if math.Abs(r.Value-want[r.Name]) > 1e-3 {
			t.Errorf("%+v, want %v", r, want[r.Name])
		}
		delete(want, r.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if n := len(m.section.Tables); n != 6 {
		t.Errorf("%d tables", n)
	}
	for _, f := range m.section.Figures {
		if len(f.Series) == 0 || len(f.Series[0].X) != 4 {
			t.Errorf("figure %s: %+v", f.Name, f.Series)
		}
	}
}
