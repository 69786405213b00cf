package cgroup

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestPart has two processes of a pod in groups of their own.
func TestPart(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		g := newGroup(t, h, nil)
		pod := born(t, g, "", "/bin/sleep", "60")
		r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(32 << 20))}}
		part, err := g.Part(t.Context(), "one", r)
		check(t, err)
		worker := born(t, part, "", "/bin/sleep", "60")
		if below := h.mode != V2; g.Has(part) != below || part.Has(g) {
			t.Errorf("%s is below %s: %v", part.Path(), g.Path(), g.Has(part))
		}
		if dir := path.Dir(part.Path()); h.mode == V2 && dir != path.Dir(g.Path()) {
			t.Errorf("%s is not beside %s", part.Path(), g.Path())
		}
		if g, ok := part.b.(*v1); ok {
			dir, _ := g.dir("memory")
			if limit := text(filepath.Join(dir, "memory.limit_in_bytes")); limit != "33554432" {
				t.Errorf("its limit is %s", limit)
			}
		}
		pids, err := part.Procs()
		check(t, err)
		if len(pids) != 1 || pids[0] != worker.Process.Pid {
			t.Errorf("it holds %v, not %d", pids, worker.Process.Pid)
		}
		if _, err := g.Part(t.Context(), "one", r); !errdefs.IsAlreadyExists(err) {
			t.Errorf("a second of that name: %v", err)
		}
		// It ends alone, and is found again.
		part, err = h.load(part.State())
		check(t, err)
		check(t, part.Kill(t.Context()))
		_ = worker.Wait() // killed
		check(t, part.Delete(t.Context()))
		for _, dir := range part.b.dirs() {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", dir, err)
			}
		}
		if pids, err := g.Procs(); err != nil || len(pids) != 1 || pids[0] != pod.Process.Pid {
			t.Errorf("the pod holds %v (%v), not %d", pids, err, pod.Process.Pid)
		}
		for _, name := range []string{"", "..", "a/b"} {
			if _, err := g.Part(t.Context(), name, nil); !errdefs.IsInvalidArgument(err) {
				t.Errorf("name %q: %v", name, err)
			}
		}
	})
}

// TestPartOfAScope is beside it, a scope as well.
func TestPartOfAScope(t *testing.T) {
	h := v2Host(t)
	h.scopes = systemd{}
	g, err := h.create(t.Context(), "a-b.slice", "pod", nil)
	check(t, err)
	part, err := g.Part(t.Context(), "one", nil)
	check(t, err)
	if s := part.State(); s.Path != "/a.slice/a-b.slice/pod-one.scope" || s.Scope != "pod-one.scope" || g.Has(part) {
		t.Errorf("%+v", s)
	}
}
