package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/thread"
)

// enter makes the test binary put a thread into a group, by the files it inherits,
// and tell where its threads are.
const enter = "CGROUP_TEST_ENTER"

// enterThreads is the life of that process.
func enterThreads() {
	runtime.LockOSThread()
	said := make(chan string)
	go func() {
		runtime.LockOSThread()
		for fd := 3; ; fd++ {
			if _, err := unix.Write(fd, []byte("0")); err != nil {
				break // all of them, the test counts
			}
		}
		b, _ := os.ReadFile("/proc/thread-self/cgroup")
		said <- string(b)
		select {}
	}()
	inside := <-said
	outside, _ := os.ReadFile("/proc/thread-self/cgroup")
	fmt.Printf("%s--\n%s--\n", inside, outside)
	time.Sleep(time.Minute)
}

// TestThreadsEnter has a process of the pod put one of its threads into a group, and
// takes it all down while it is there.
func TestThreadsEnter(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		g := newGroup(t, h, nil)
		threads, err := g.Threads("one")
		check(t, err)
		if _, err := threads.Files(); !errors.Is(err, notFound) {
			t.Errorf("files of a group that is not there: %v", err)
		}
		if b, ok := threads.b.(*threads2); ok && len(g.Missing()) > 0 {
			// A hybrid host has its controllers in v1.
			if err := threads.Set(nil); !errdefs.IsNotImplemented(err) {
				t.Errorf("without a controller: %v", err)
			}
			check(t, b.make())
			check(t, b.make())
		} else {
			check(t, threads.Set(nil))
		}
		files, err := threads.Files()
		check(t, err)
		again, err := g.Threads("one")
		check(t, err)
		if d := again.Describe(); !strings.Contains(d, g.Path()+"/container-one") {
			t.Errorf("found again: %q", d)
		}
		in, out := whereThreadsAre(t, g, files)
		if n := strings.Count(in, ":"+g.Path()+"/container-one\n"); n != len(files) {
			t.Errorf("the thread entered %d groups of %d:\n%s", n, len(files), in)
		}
		if strings.Contains(out, "container-one") || !strings.Contains(out, ":"+g.Path()+"\n") {
			t.Errorf("the other threads are in\n%s", out)
		}
		check(t, g.Kill(t.Context()))
		check(t, threads.Delete(t.Context()))
		check(t, threads.Delete(t.Context()))
		for _, d := range threads.b.dirs() {
			if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", d, err)
			}
		}
	})
}

// whereThreadsAre runs the process; it lives on.
func whereThreadsAre(t *testing.T, g *Group, files []*os.File) (in, out string) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env, c.ExtraFiles, c.Stderr = []string{enter + "=1"}, files, os.Stderr
	dir, err := g.Dir()
	check(t, err)
	if dir != nil {
		c.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		defer func() { check(t, dir.Close()) }()
	}
	stdout, err := c.StdoutPipe()
	check(t, err)
	thread.Throwaway(func() {
		if err = g.Join(); err == nil {
			err = c.Start()
		}
	})
	check(t, err)
	t.Cleanup(func() {
		_ = c.Process.Kill() // the group's end is its own in most cases
		_ = c.Wait()         // killed
	})
	for _, f := range files {
		check(t, f.Close())
	}
	parts := []*string{&in, &out}
	for lines := bufio.NewScanner(stdout); len(parts) > 0 && lines.Scan(); {
		if lines.Text() == "--" {
			parts = parts[1:]
			continue
		}
		*parts[0] += lines.Text() + "\n"
	}
	return in, out
}

// TestThreadsQuota holds one thread of this process to a fifth of a CPU, moves the
// limit while it runs, and leaves a second thread alone. In v2 the whole process would
// have to be in the pod's group: integration/v2guest does the same with a pod.
func TestThreadsQuota(t *testing.T) { onV1(t, testThreadsQuota) }

func testThreadsQuota(t *testing.T) {
	g := newGroup(t, v1Host(t), nil)
	threads, err := g.Threads("busy")
	check(t, err)
	check(t, threads.Set(&specs.LinuxCPU{Quota: ptr(int64(20_000)), Shares: ptr(uint64(512))}))
	if d := threads.Describe(); !strings.HasPrefix(d, "shares 512, 2000 of every 10000 µs in cgroup /") {
		t.Errorf("limits in force: %s", d)
	}
	limited, end := spin(t, threads)
	defer end()
	free, end := spin(t, nil)
	defer end()
	measure := func() (float64, float64) {
		a, b, at := limited(), free(), time.Now()
		time.Sleep(time.Second)
		d := time.Since(at)
		return float64(limited()-a) / float64(d), float64(free()-b) / float64(d)
	}
	share, other := measure()
	if share < 0.05 || share > 0.25 {
		t.Errorf("the limited thread had %.2f of a CPU, not 0.2", share)
	}
	// On a machine that is busy otherwise the free thread may get less all the same.
	files, err := filepath.Glob("/sys/fs/cgroup/*" + g.Path() + "/container-busy/tasks")
	check(t, err)
	for _, name := range files {
		tasks, err := os.ReadFile(name)
		check(t, err)
		if n := len(strings.Fields(string(tasks))); n != 1 {
			t.Errorf("%d threads in %s; the free one had %.2f of a CPU, the limited one %.2f", n, name, other, share)
		}
	}
	if len(files) == 0 {
		t.Error("the group is not there")
	}
	stat, err := threads.Stat()
	check(t, err)
	defer func() { check(t, stat.Close()) }()
	b := make([]byte, 4096)
	n, err := stat.Read(b)
	check(t, err)
	if s := string(b[:n]); !strings.Contains(s, "nr_throttled ") || strings.Contains(s, "nr_throttled 0\n") {
		t.Errorf("statistics of a thread that was held up:\n%s", s)
	}
	check(t, threads.Set(&specs.LinuxCPU{Quota: ptr(int64(5_000))}))
	if d := threads.Describe(); !strings.HasPrefix(d, "shares 512, 1000 of every 20000 µs ") {
		t.Errorf("limits in force: %s", d)
	}
	if share, _ = measure(); share > 0.08 {
		t.Errorf("the limited thread had %.2f of a CPU, not 0.05", share)
	}
	check(t, threads.Set(&specs.LinuxCPU{Quota: ptr(int64(-1))}))
	if d := threads.Describe(); !strings.HasPrefix(d, "shares 512 in ") {
		t.Errorf("limits in force: %s", d)
	}
}

// spin keeps a thread busy in the group, until end.
func spin(t *testing.T, threads *Threads) (used func() time.Duration, end func()) {
	t.Helper()
	tid, done := make(chan int), make(chan struct{})
	var stop atomic.Bool
	var err error
	go thread.Throwaway(func() {
		defer close(done)
		if threads != nil {
			err = join(threads)
		}
		tid <- unix.Gettid()
		for !stop.Load() {
		}
	})
	id := <-tid
	check(t, err)
	return func() time.Duration {
			var ts unix.Timespec
			const perThread = 6 // MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED)
			check(t, unix.ClockGettime(int32(^id<<3|perThread), &ts))
			return time.Duration(ts.Nano())
		}, func() {
			stop.Store(true)
			<-done
		}
}

func join(threads *Threads) error {
	files, err := threads.Files()
	for _, f := range files {
		_, werr := f.WriteString("0")
		err = errors.Join(err, werr, f.Close())
	}
	return err
}

// TestThreadsOfALimitedPod: more than the pod has is the pod's, and it is no error.
func TestThreadsOfALimitedPod(t *testing.T) { onV1(t, testThreadsOfALimitedPod) }

func testThreadsOfALimitedPod(t *testing.T) {
	g := newGroup(t, v1Host(t), &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(50_000)), Period: ptr(uint64(100_000))}})
	threads, err := g.Threads("c")
	check(t, err)
	check(t, threads.Set(&specs.LinuxCPU{Quota: ptr(int64(80_000)), Cpus: "0"}))
	if d := threads.Describe(); !strings.HasPrefix(d, "shares 1024, CPUs 0 in ") {
		t.Errorf("limits in force: %s", d)
	}
	check(t, threads.Set(&specs.LinuxCPU{Quota: ptr(int64(50_000))}))
	if d := threads.Describe(); !strings.HasPrefix(d, "shares 1024, 5000 of every 10000 µs, CPUs 0 in ") {
		t.Errorf("limits in force: %s", d)
	}
	thread.Throwaway(func() {
		err = join(threads)
		var set unix.CPUSet
		if err == nil {
			err = unix.SchedGetaffinity(0, &set)
		}
		if err == nil && (set.Count() != 1 || !set.IsSet(0)) {
			err = fmt.Errorf("the thread may use %d CPUs", set.Count())
		}
	})
	check(t, err)
	check(t, threads.Delete(t.Context()))
}

// TestThreadsOfV2 writes to files that are none of a kernel's: this host's v2 may
// have no controllers.
func TestThreadsOfV2(t *testing.T) {
	root := t.TempDir()
	h := host{mode: V2, root: root}
	pod := filepath.Join(root, "p", "pod")
	dir := filepath.Join(pod, "container-c")
	check(t, os.MkdirAll(dir, 0o755))
	for file, content := range map[string]string{
		pod + "/cgroup.controllers": "cpuset cpu memory", pod + "/cgroup.subtree_control": "",
		dir + "/cgroup.type": "domain invalid", dir + "/cgroup.threads": "", dir + "/cpu.max": "", dir + "/cpu.weight": "", dir + "/cpuset.cpus": "",
	} {
		check(t, os.WriteFile(file, []byte(content), 0o644))
	}
	g, err := h.load(State{Path: "/p/pod"})
	check(t, err)
	threads, err := g.Threads("c")
	check(t, err)
	check(t, threads.Set(&specs.LinuxCPU{Shares: ptr(uint64(1024)), Quota: ptr(int64(50_000)), Period: ptr(uint64(100_000)), Cpus: "1"}))
	for file, want := range map[string]string{
		// A real one takes one controller at a time.
		pod + "/cgroup.subtree_control": "+cpuset",
		dir + "/cpu.max":                "5000 10000", dir + "/cpu.weight": "100", dir + "/cpuset.cpus": "1",
	} {
		if got := text(file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if kind := text(dir + "/cgroup.type"); !strings.HasPrefix(kind, "threaded") {
		t.Errorf("type %q", kind)
	}
	if d := threads.Describe(); d != "weight 100, 5000 of every 10000 µs, CPUs 1 in cgroup /p/pod/container-c" {
		t.Errorf("limits in force: %s", d)
	}
	check(t, os.WriteFile(pod+"/cgroup.controllers", []byte("memory pids"), 0o644))
	if err := threads.Set(&specs.LinuxCPU{}); !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "cpu controller") {
		t.Errorf("without a cpu controller: %v", err)
	}
}

func TestThreadsWithoutGroup(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		g := newGroup(t, h, nil)
		check(t, g.Delete(t.Context()))
		threads, err := g.Threads("c")
		check(t, err)
		// On a hybrid host v2 has no controller to begin with.
		if err := threads.Set(nil); !errors.Is(err, notFound) && !errdefs.IsNotImplemented(err) {
			t.Errorf("the error is %v", err)
		}
		check(t, threads.Delete(t.Context()))
		if _, err := g.Threads("../x"); !errdefs.IsInvalidArgument(err) {
			t.Errorf("a name that is a path: %v", err)
		}
	})
}

func TestShortPeriod(t *testing.T) {
	for _, tc := range []struct{ quota, period, wantQuota, wantPeriod int64 }{
		{20_000, 100_000, 2_000, 10_000},
		{20_000, 0, 2_000, 10_000},
		{150_000, 100_000, 15_000, 10_000},
		{5_000, 100_000, 1_000, 20_000},
		{1_000, 100_000, 1_000, 100_000},
		{3_000, 100_000, 1_000, 33_334},
		{500, 100_000, 1_000, 200_000},
		{2_000, 5_000, 2_000, 5_000},
		{33_333, 100_000, 3_333, 10_000},
		{1_000_000, 1_000_000, 10_000, 10_000},
		{-1, 100_000, -1, 100_000},
		{1 << 62, 100_000, 461168601842738790, 10_000},
	} {
		quota, period, err := shortPeriod(&specs.LinuxCPU{Quota: &tc.quota, Period: ptr(uint64(tc.period))})
		if err != nil || quota != tc.wantQuota || period != tc.wantPeriod {
			t.Errorf("%d in %d: %d in %d, %v", tc.quota, tc.period, quota, period, err)
		}
	}
	for _, tc := range [][2]int64{{10_000, 999}, {10_000, 1_000_001}, {99, 100_000}} {
		if _, _, err := shortPeriod(&specs.LinuxCPU{Quota: &tc[0], Period: ptr(uint64(tc[1]))}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%d in %d: %v", tc[0], tc[1], err)
		}
	}
}
