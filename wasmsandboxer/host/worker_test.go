package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/podspec"
)

// fakeWorkers notes what it is asked for.
type fakeWorkers struct {
	started []Worker
	removed []string
	err     error
}

var _ Workers = (*fakeWorkers)(nil)

func (w *fakeWorkers) Start(_ context.Context, q Worker) (uint32, *os.File, error) {
	if w.err != nil {
		return 0, nil, w.err
	}
	w.started = append(w.started, q)
	f, err := os.Open(os.DevNull)
	return 4711, f, err
}

func (w *fakeWorkers) Kill(_ context.Context, container string) (*hostapi.KillReply, *os.File, error) {
	return &hostapi.KillReply{Reason: "killed " + container}, nil, w.err
}

func (w *fakeWorkers) Remove(_ context.Context, container string) error {
	w.removed = append(w.removed, container)
	return nil
}

// A container that wants a process of its own gets it, and nothing of it appears in
// the pod.
func TestIsolatedContainerGetsAWorker(t *testing.T) {
	s, _ := newService(t)
	w := &fakeWorkers{}
	s.pod.Workers, s.pod.MemoryOverhead = w, 1000
	s.pod.Annotations = map[string]string{podspec.AnnotationIsolation: "process"}
	s.pod.Config = &runtime.PodSandboxConfig{Linux: &runtime.LinuxPodSandboxConfig{
		Resources: &runtime.LinuxContainerResources{MemoryLimitInBytes: 50_000},
	}}
	reply, files, err := s.Handle(t.Context(), hostapi.MethodPrepare, []byte(`{"container":"mine","stdio":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	closeFiles(files)
	p, ok := reply.(*hostapi.PrepareReply)
	if !ok || p.Worker == nil || p.Worker.Pid != 4711 || len(files) != 1 || p.Roles[0] != hostapi.RoleWorker || p.Rootfs != "" {
		t.Errorf("%+v, %v", reply, files)
	}
	if len(w.started) != 1 || w.started[0].Container != "mine" || w.started[0].Why != "pod annotation blazar/isolation" {
		t.Errorf("started %+v", w.started)
	}
	if limit := *w.started[0].Resources.Memory.Limit; limit != 51_000 {
		t.Errorf("its memory limit is %d", limit)
	}
	if e := s.History()["mine"]; e.Worker != "process 4711: pod annotation blazar/isolation" {
		t.Errorf("noted %+v", e)
	}
	if entries, err := os.ReadDir(s.pod.Root); err != nil || len(entries) > 0 {
		t.Errorf("in the pod's root: %v, %v", entries, err)
	}
	// Asked again it starts over; whose failed leaves nothing.
	w.err = errors.New("no")
	if err := call(t, s, hostapi.MethodPrepare, hostapi.PrepareRequest{Container: "mine"}); !errors.Is(err, w.err) {
		t.Error(err)
	}
	if len(w.removed) != 3 {
		t.Errorf("removed %v", w.removed)
	}
	if err := call(t, s, hostapi.MethodPrepare, hostapi.PrepareRequest{Container: "other"}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("of another pod: %v", err)
	}
}

func TestWorkerResources(t *testing.T) {
	s, _ := newService(t)
	s.pod.MemoryOverhead = 1000
	limit, shares := int64(4000), uint64(512)
	rec := &Container{Spec: &specs.Spec{Linux: &specs.Linux{Resources: &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &limit}, CPU: &specs.LinuxCPU{Shares: &shares},
	}}}}
	if r := s.workerResources(rec); *r.Memory.Limit != 5000 || *r.CPU.Shares != 512 || r.CPU.Quota != nil {
		t.Errorf("%+v", r)
	}
	if r := s.workerResources(&Container{Spec: &specs.Spec{}}); *r.Memory.Limit != -1 || r.CPU != nil {
		t.Errorf("without limits: %+v", r)
	}
}

// A worker that was taken over asks for what is not its container's.
func TestWorkerIsAnsweredForItsContainerOnly(t *testing.T) {
	parent, published := newService(t)
	pod := parent.pod
	pod.Container, pod.Parent = "mine", parent
	pod.Root, pod.Notes = t.TempDir(), t.TempDir()
	s := New(parent.node, pod)
	t.Cleanup(s.Close)
	victim := filepath.Join(parent.pod.Root, containersDir, "neighbour", rootfsName)
	if err := os.MkdirAll(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"neighbour", "other", "unknown"} {
		for method, body := range map[string]any{
			hostapi.MethodPrepare: hostapi.PrepareRequest{Container: id},
			hostapi.MethodExec:    hostapi.ExecRequest{Container: id, Exec: "x", Command: "/app.wasm"},
			hostapi.MethodUpdate:  hostapi.UpdateRequest{Container: id},
			hostapi.MethodRemove:  hostapi.RemoveRequest{Container: id},
		} {
			if err := call(t, s, method, body); !errdefs.IsPermissionDenied(err) {
				t.Errorf("%s of %s: %v", method, id, err)
			}
		}
		if err := call(t, s, hostapi.MethodReport, hostapi.ReportRequest{Container: id, Message: "x"}); !errdefs.IsNotFound(err) {
			t.Errorf("report of %s: %v", id, err)
		}
		if err := call(t, s, hostapi.MethodKill, hostapi.KillRequest{Container: id}); !errdefs.IsNotFound(err) {
			t.Errorf("kill of %s: %v", id, err)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	event := hostapi.EventRequest{Topic: "/tasks/oom", Type: "containerd.events.TaskOOM", Value: []byte("\x0a\x04mine")}
	if err := call(t, s, hostapi.MethodEvent, event); !errdefs.IsPermissionDenied(err) || len(published) > 0 {
		t.Errorf("event: %v, %v", err, published)
	}
	// What it reports of its own container is kept by the pod's service.
	if err := call(t, s, hostapi.MethodReport, hostapi.ReportRequest{Container: "mine", Status: 134, Message: "trap"}); err != nil {
		t.Error(err)
	}
	if e := parent.History()["mine"]; e.Exit == nil || e.Exit.Status != 134 {
		t.Errorf("the pod knows %+v", e)
	}
}

func TestKillWithoutWorkers(t *testing.T) {
	s, _ := newService(t)
	for id, is := range map[string]func(error) bool{"mine": errdefs.IsNotFound, "../x": errdefs.IsInvalidArgument} {
		if err := call(t, s, hostapi.MethodKill, hostapi.KillRequest{Container: id}); !is(err) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
