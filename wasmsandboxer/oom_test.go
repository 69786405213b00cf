package wasmsandboxer_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/testneeds"
	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
	"blazar/sandbox/task/taskapi"
	"blazar/wasmsandboxer/podspec"
)

// A pod that takes more than its cgroup may have is ended by the kernel: the reason
// is recorded, and containerd is told of every container.
func TestPodOutOfMemory(t *testing.T) {
	ctx, p, tasks := smallPod(t, nil)
	before := forwarded.count("/tasks/oom")
	run1(ctx, t, tasks, "greedy")
	e, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if e.Status != 137 || !strings.HasPrefix(e.Reason, "OOMKilled") {
		t.Errorf("the pod ended with %d: %q", e.Status, e.Reason)
	}
	toldOfOOM(t, before)
}

// One that is alone in its process is ended alone.
func TestWorkerOutOfMemory(t *testing.T) {
	ctx, p, tasks := smallPod(t, map[string]string{podspec.AnnotationIsolation: "process"})
	before := forwarded.count("/tasks/oom")
	run1(ctx, t, tasks, "neighbour")
	run1(ctx, t, tasks, "greedy")
	e, err := tasks.Wait(ctx, &taskapi.WaitRequest{Id: "greedy"})
	if err != nil {
		t.Fatal(err)
	}
	if e.GetExitStatus() != 137 {
		t.Errorf("it ended with %d", e.GetExitStatus())
	}
	toldOfOOM(t, before)
	d, ok := p.(sandbox.Describer)
	if !ok {
		t.Fatal("the pod says nothing of itself")
	}
	said, err := json.Marshal(d.Describe(ctx))
	if err != nil || !strings.Contains(string(said), "OOMKilled: the container's memory cgroup ran out of memory") {
		t.Errorf("%s, %v", said, err)
	}
	s, err := tasks.State(ctx, &taskapi.StateRequest{Id: "neighbour"})
	if err != nil || s.GetStatus() != taskapi.Status_RUNNING {
		t.Errorf("its neighbour is %v, %v", s.GetStatus(), err)
	}
}

// toldOfOOM waits until containerd was told of one container more.
func toldOfOOM(t *testing.T, before int) {
	t.Helper()
	for begin := time.Now(); forwarded.count("/tasks/oom") == before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("containerd was not told")
		}
	}
	if n := forwarded.count("/tasks/oom") - before; n != 1 {
		t.Errorf("containerd was told %d times", n)
	}
}

// smallPod starts a pod that may have little memory, and prepares two guests without
// limits of their own: greedy takes all it gets, neighbour sleeps.
func smallPod(t *testing.T, annotations map[string]string) (context.Context, sandbox.Sandbox, *taskapi.Client) {
	t.Helper()
	testneeds.Root(t)
	h := newHarness(t)
	for _, d := range []string{"t", "p"} {
		if err := os.Mkdir(filepath.Join(h.Root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := &records{}
	s, closeKind := newSandboxer(t, r, filepath.Join(h.Root, "k"), filepath.Join(h.Root, "t", "state"), 0)
	t.Cleanup(closeKind)
	config, _ := h.Config(t, "pod")
	config.Linux.Resources = &cri.LinuxContainerResources{MemoryLimitInBytes: 16 << 20}
	config.Linux.Overhead = &cri.LinuxContainerResources{MemoryLimitInBytes: 32 << 20}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	p, err := s.Create(ctx, &sandbox.Request{
		ID: "pod", Namespace: "k8s.io", Dir: filepath.Join(h.Root, "p"), Config: config, Annotations: annotations,
		Save: func(context.Context, any) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Delete(ctx); err != nil {
			t.Error(err)
		}
		if left := h.Leaks(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	started, err := p.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"greedy": "leak", "neighbour": "sleep"} {
		spec := &specs.Spec{Process: process(sandboxtest.Program{Args: []string{program, "60"}}), Root: &specs.Root{Path: "rootfs"}}
		if err := r.put(name, record{sandbox: "pod", spec: spec, upper: filepath.Join(h.Root, "t", name)}); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, p, tasksOf(t, started.Address)
}

// tasksOf connects to the Task API of a pod.
func tasksOf(t *testing.T, address string) *taskapi.Client {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(address, "ttrpc+unix://"))
	if err != nil {
		t.Fatal(err)
	}
	c := ttrpc.NewClient(conn)
	t.Cleanup(func() { _ = c.Close() }) // the pod may have ended
	return taskapi.NewClient(c)
}

// run1 creates and starts a container, and returns its pid.
func run1(ctx context.Context, t *testing.T, tasks *taskapi.Client, id string) uint32 {
	t.Helper()
	if _, err := tasks.Create(ctx, &taskapi.CreateTaskRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	r, err := tasks.Start(ctx, &taskapi.StartRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetPid()
}
