package runcsandboxer_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/runcsandboxer"
	"blazar/runcsandboxer/podfile"
)

// other is a pod of another kind: a process in namespaces and a cgroup of its own.
func (w *world) other() runcsandboxer.Whole {
	w.t.Helper()
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = c.Process.Kill() // unless a test did
		_ = c.Wait()
	})
	ref, err := proc.RefOf(c.Process.Pid)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := proc.Open(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = h.Close() })
	id := "whole" + strconv.Itoa(int(count.Add(1)))
	g, err := cgroup.Create(w.t.Context(), w.parent, id, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := g.Delete(context.Background()); err != nil && !errdefs.IsNotFound(err) {
			w.t.Error(err)
		}
	})
	config := options(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_POD })
	config.Metadata = &cri.PodSandboxMetadata{Name: id}
	return runcsandboxer.Whole{ID: id, Config: config, NetNS: w.network(), Process: h, Group: g}
}

// deleted deletes the half of a pod and sees that nothing is left.
func (w *world) deleted(id string) {
	w.t.Helper()
	if err := w.DeleteHalf(w.t.Context(), w.state, id); err != nil {
		w.t.Error(err)
	}
	if _, err := os.Stat(podfile.Dir(w.state, runcsandboxer.MixedKind, id)); !os.IsNotExist(err) {
		w.t.Errorf("its directory is left (%v)", err)
	}
}

// TestHalf borrows what a pod of another kind has.
func TestHalf(t *testing.T) {
	w := newWorld(t)
	o := w.other()
	for range 2 { // once more is no error
		if err := w.JoinHalf(t.Context(), w.state, o); err != nil {
			t.Fatal(err)
		}
	}
	p, dir, err := podfile.Load(w.state, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	process := "/proc/" + strconv.Itoa(o.Process.Ref().Pid)
	for name, path := range map[string]string{"ipc": p.Namespaces.IPC, "uts": p.Namespaces.UTS} {
		if inode(t, path) != inode(t, process+"/ns/"+name) {
			t.Errorf("its %s namespace is not the pod's", name)
		}
	}
	if p.Namespaces.Network != o.NetNS || int(p.Pid) != o.Process.Ref().Pid {
		t.Errorf("%+v", p)
	}
	if p.Reaper == nil || inode(t, p.Namespaces.PID) == inode(t, process+"/ns/pid") || inode(t, p.Namespaces.PID) == inode(t, "/proc/self/ns/pid") {
		t.Errorf("its pids are the pod's, or the host's: %+v", p)
	}
	if !strings.HasPrefix(p.Cgroup.Below, o.Group.Path()) {
		t.Errorf("containers are below %s, the pod is %s", p.Cgroup.Below, o.Group.Path())
	}
	// Another daemon ends it, and takes it away.
	w.restart()
	if err := w.EndHalf(t.Context(), w.state, o.ID); err != nil {
		t.Error(err)
	}
	if _, err := proc.Open(*p.Reaper); !errdefs.IsNotFound(err) {
		t.Errorf("its reaper runs on: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, podfile.Name)); err != nil {
		t.Error(err)
	}
	w.deleted(o.ID)
	w.deleted(o.ID)
}

// TestNoHalf is a pod without Linux containers.
func TestNoHalf(t *testing.T) {
	w := newWorld(t)
	if err := w.EndHalf(t.Context(), w.state, "none"); err != nil {
		t.Error(err)
	}
	w.deleted("none")
}

// TestHalfRefused leaves nothing of what cannot be.
func TestHalfRefused(t *testing.T) {
	w := newWorld(t)
	users := w.other()
	mapped(users.Config.Linux.SecurityContext.NamespaceOptions)
	if err := w.JoinHalf(t.Context(), w.state, users); !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "hostUsers") {
		t.Errorf("user namespace: %v", err)
	}
	dead := w.other()
	if err := dead.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Process.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.JoinHalf(t.Context(), w.state, dead); err == nil {
		t.Error("joined a pod that has ended")
	}
	for _, o := range []runcsandboxer.Whole{users, dead} {
		if _, err := os.Stat(podfile.Dir(w.state, runcsandboxer.MixedKind, o.ID)); !os.IsNotExist(err) {
			t.Errorf("its directory is left (%v)", err)
		}
	}
}
