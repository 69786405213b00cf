package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	stats1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	stats2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"go.uber.org/goleak"

	"blazar/internal/thread"
)

// TestLifeCycle takes a group through everything, in order and out of order.
func TestLifeCycle(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		defer goleak.VerifyNone(t)
		g := newGroup(t, h, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(50))}})
		check(t, g.Kill(t.Context())) // nothing is there to kill

		c := born(t, g, "", "/bin/sleep", "60")
		own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.Process.Pid))
		check(t, err)
		in := 0
		for line := range strings.Lines(string(own)) {
			if strings.HasSuffix(strings.TrimSpace(line), ":"+g.Path()) {
				in++
			}
		}
		if in != len(g.b.dirs()) {
			t.Errorf("the process was born in %d of %d hierarchies:\n%s", in, len(g.b.dirs()), own)
		}
		if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) {
			t.Errorf("processes %v, %v, want %d", pids, err, c.Process.Pid)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := g.Delete(ctx); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("delete with a process in it: %v", err)
		}
		if _, err := h.create(t.Context(), parent(t), "pod", nil); !errdefs.IsAlreadyExists(err) {
			t.Errorf("create over one with a process in it: %v", err)
		}

		again, err := h.load(g.State())
		check(t, err)
		if again.Path() != g.Path() {
			t.Errorf("loaded path %s", again.Path())
		}
		check(t, again.Kill(t.Context()))
		check(t, again.Kill(t.Context()))
		check(t, again.Delete(t.Context()))
		check(t, again.Delete(t.Context()))
		if _, err := h.load(g.State()); !errors.Is(err, notFound) {
			t.Errorf("load of what is deleted: %v", err)
		}
		if _, err := g.Procs(); !errors.Is(err, notFound) {
			t.Errorf("processes of what is deleted: %v", err)
		}
		if _, err := g.Metrics(t.Context()); !errors.Is(err, notFound) {
			t.Errorf("metrics of what is deleted: %v", err)
		}
		check(t, g.Kill(t.Context()))
	})
}

// TestKillSparesItself has a thread of this process in the group, as while a
// process is started: v1 lists this process as a member then.
func TestKillSparesItself(t *testing.T) { onV1(t, testKillSparesItself) }

func testKillSparesItself(t *testing.T) {
	g := newGroup(t, v1Host(t), nil)
	joined, leave := make(chan error), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		thread.Throwaway(func() {
			joined <- g.Join()
			<-leave
		})
	}()
	check(t, <-joined)
	dir, _ := g.b.(*v1).dir("cpu")
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	check(t, err)
	if !strings.Contains(string(b), fmt.Sprint(os.Getpid())) {
		t.Errorf("this process is not listed (%q): the test shows nothing", b)
	}
	check(t, g.Kill(t.Context())) // or this is the end
	close(leave)
	<-done
	check(t, g.Delete(t.Context())) // the thread has just ended
}

func TestParents(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		p := parent(t)
		var foreign []string // what kubelet makes
		g, err := h.create(t.Context(), p+"/kubelet", "x", nil)
		check(t, err)
		for _, d := range g.b.dirs() {
			foreign = append(foreign, filepath.Dir(d))
		}
		inside, err := h.create(t.Context(), p+"/kubelet", "y", nil)
		check(t, err)
		if len(inside.State().Made) != 0 {
			t.Errorf("made %v, which was there", inside.State().Made)
		}
		check(t, inside.Delete(t.Context()))
		for _, d := range foreign {
			if _, err := os.Stat(d); err != nil {
				t.Errorf("somebody else's parent is gone: %v", err)
			}
		}
		// A record that was tampered with removes nothing of others.
		s := g.State()
		victim, err := h.create(t.Context(), p+"/victim", "z", nil)
		check(t, err)
		check(t, victim.Delete(t.Context()))
		for _, d := range victim.b.dirs() {
			check(t, os.MkdirAll(filepath.Dir(d), 0o755))
			s.Made = append(s.Made, filepath.Dir(d))
		}
		g, err = h.load(s)
		check(t, err)
		check(t, g.Delete(t.Context()))
		for _, d := range victim.b.dirs() {
			check(t, os.Remove(filepath.Dir(d)))
			_ = os.Remove(filepath.Dir(filepath.Dir(d))) // made for this test, by Create or by it
			_ = os.Remove(filepath.Dir(filepath.Dir(filepath.Dir(d))))
		}
	})
}

func TestMetrics1(t *testing.T) { onV1(t, testMetrics1) }

func testMetrics1(t *testing.T) {
	g := newGroup(t, v1Host(t), &specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000))},
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20)), Kernel: ptr(int64(1))}, //nolint:staticcheck // deprecated: must be left out
		Pids:   &specs.LinuxPids{Limit: ptr(int64(100))},
	})
	if missing := g.Missing(); len(missing) != 0 {
		t.Errorf("missing controllers %v", missing)
	}
	burn(t, g)
	msg, err := g.Metrics(t.Context())
	check(t, err)
	m := msg.(*stats1.Metrics)
	if m.CPU.Usage.Total == 0 || m.Memory.Usage.Usage == 0 || m.Memory.Usage.Limit != 64<<20 || m.Pids.Limit != 100 || m.Pids.Current == 0 {
		t.Errorf("metrics %v", m)
	}
	check(t, g.Update(t.Context(), &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(128 << 20)), Swap: ptr(int64(128 << 20))}}))
	msg, err = g.Metrics(t.Context())
	check(t, err)
	if got := msg.(*stats1.Metrics).Memory.Usage.Limit; got != 128<<20 {
		t.Errorf("limit after the update: %d", got)
	}
	dir, _ := g.b.(*v1).dir("cpu")
	b, err := os.ReadFile(filepath.Join(dir, "cpu.shares"))
	check(t, err)
	if strings.TrimSpace(string(b)) != "512" {
		t.Errorf("shares %s", b)
	}
}

func TestMetrics2(t *testing.T) {
	h := v2Host(t)
	g := newGroup(t, h, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: ptr(int64(9))}})
	burn(t, g)
	msg, err := g.Metrics(t.Context())
	check(t, err)
	m := msg.(*stats2.Metrics)
	if m.CPU.UsageUsec == 0 {
		t.Errorf("metrics %v", m)
	}
	have := fields(filepath.Join(h.root, "cgroup.controllers"))
	for _, c := range wanted2 {
		if slices.Contains(have, c) == slices.Contains(g.Missing(), c) {
			t.Errorf("host has %v, missing is %v", have, g.Missing())
		}
	}
	if h.root != "/sys/fs/cgroup" {
		return // beside v1, which has the controllers
	}
	if m.GetMemory().GetUsage() == 0 || m.GetMemory().GetUsageLimit() != 64<<20 || m.GetPids().GetLimit() != 9 || m.GetPids().GetCurrent() == 0 {
		t.Errorf("metrics %v", m)
	}
	check(t, g.Update(t.Context(), &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(128 << 20)), Swap: ptr(int64(128 << 20))}}))
	msg, err = g.Metrics(t.Context())
	check(t, err)
	if got := msg.(*stats2.Metrics).GetMemory().GetUsageLimit(); got != 128<<20 {
		t.Errorf("limit after the update: %d", got)
	}
}

// burn runs something in the group that uses the CPU and stays.
func burn(t *testing.T, g *Group) {
	born(t, g, eat+"=20000000", "/proc/self/exe")
	time.Sleep(100 * time.Millisecond)
}

// TestOOM runs out of memory for real.
func TestOOM(t *testing.T) {
	g := newGroup(t, limitingHost(t), &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(32 << 20)), Swap: ptr(int64(32 << 20))}})
	ch, err := g.OOM(t.Context())
	check(t, err)
	c := born(t, g, eat+"=100000000", "/proc/self/exe")
	select {
	case _, ok := <-ch:
		if !ok {
			t.Fatal("channel is closed")
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("no event")
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	check(t, g.Delete(t.Context()))
	for range ch { // what is still in it, then closed
	}
	if _, err := g.OOM(t.Context()); err == nil {
		t.Error("events of a deleted group")
	}
	goleak.VerifyNone(t)
}

func TestOOMEnds(t *testing.T) {
	g := newGroup(t, limitingHost(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := g.OOM(ctx)
	check(t, err)
	cancel()
	if _, ok := <-ch; ok {
		t.Error("an event")
	}
	ch, err = g.OOM(t.Context())
	check(t, err)
	for _, d := range g.b.dirs() { // somebody else removes it
		check(t, os.Remove(d))
	}
	select {
	case _, ok := <-ch:
		if ok {
			t.Error("an event")
		}
	case <-time.After(10 * time.Second):
		t.Error("the channel stays open")
	}
	goleak.VerifyNone(t)
}

func TestAdd(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		g := newGroup(t, h, nil)
		other, err := h.create(t.Context(), parent(t), "other", nil)
		check(t, err)
		c := born(t, other, "", "/bin/sleep", "60")
		check(t, g.Add(t.Context(), c.Process.Pid))
		if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) {
			t.Errorf("processes %v, %v", pids, err)
		}
		check(t, other.Delete(t.Context()))
		if err := g.Add(t.Context(), 1<<22+1); !errors.Is(err, notFound) {
			t.Errorf("add of no process: %v", err)
		}
		if err := g.Add(t.Context(), 0); !errdefs.IsInvalidArgument(err) {
			t.Errorf("add of pid 0: %v", err)
		}
	})
}

func TestHostMode(t *testing.T) {
	if m := HostMode(); m != V1 && m != V2 && m != Hybrid {
		t.Errorf("mode %v", m)
	}
	if m := findHost(t.TempDir()).mode; m != 0 || m.String() != "none" {
		t.Errorf("mode of an empty directory is %v", m)
	}
	if _, err := findHost(t.TempDir()).create(t.Context(), "/x", "y", nil); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("create without cgroups: %v", err)
	}
}

func BenchmarkMetrics(b *testing.B) {
	for name, h := range map[string]host{"v1": v1Host(b), "v2": v2Host(b)} {
		b.Run(name, func(b *testing.B) {
			g := newGroup(b, h, nil)
			for b.Loop() {
				_, err := g.Metrics(b.Context())
				check(b, err)
			}
		})
	}
}

func BenchmarkCreateDelete(b *testing.B) {
	h := v1Host(b)
	keep := newGroup(b, h, nil)
	for b.Loop() {
		g, err := h.create(b.Context(), filepath.Dir(keep.Path()), "bench", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 30))}})
		check(b, err)
		check(b, g.Delete(b.Context()))
	}
}

func BenchmarkJoin(b *testing.B) {
	g := newGroup(b, v1Host(b), nil)
	for b.Loop() {
		thread.Throwaway(func() { check(b, g.Join()) })
	}
}
