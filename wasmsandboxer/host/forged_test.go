package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	eventstypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"blazar/engines"
	"blazar/internal/mnt"
	"blazar/wasmsandboxer/hostapi"
)

// twoPods is a containerd with a container in each of two pods. It fails the test
// when files of the other pod are asked for.
type twoPods struct{ t *testing.T }

var _ Containers = twoPods{}

func (c twoPods) Container(_ context.Context, _, id string) (*Container, error) {
	pods := map[string]string{"mine": "pod", "other": "other-pod", "free": ""}
	pod, ok := pods[id]
	if !ok {
		return nil, fmt.Errorf("container %s: %w", id, errdefs.ErrNotFound)
	}
	return &Container{ID: id, SandboxID: pod, Spec: &specs.Spec{Process: &specs.Process{Args: []string{"/app.wasm"}}}}, nil
}

func (c twoPods) Rootfs(_ context.Context, _ string, rec *Container) ([]mnt.Mount, error) {
	if rec.ID != "mine" {
		c.t.Errorf("the files of %s were asked for", rec.ID)
	}
	return nil, errdefs.ErrUnavailable
}

func (c twoPods) Image(context.Context, string, string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errdefs.ErrNotFound
}

func (c twoPods) Content(string) content.Provider { return nil }

// published is a containerd that takes events.
type published map[string][]byte

func (p published) Forward(_ context.Context, namespace, topic, typeName string, value []byte) error {
	p[namespace+" "+topic+" "+typeName] = value
	return nil
}

func newService(t *testing.T) (*Service, published) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"root", "scratch", "notes", "state"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p := published{}
	registry := &engines.Registry{}
	registry.Register("none", func(context.Context) (engines.Engine, error) { return nil, errdefs.ErrNotImplemented })
	s := New(&Node{Containers: twoPods{t}, Events: p, Engines: registry, ContainerdState: filepath.Join(dir, "state")}, Pod{
		ID: "pod", Namespace: "k8s.io", UID: 0x70000000,
		Root: filepath.Join(dir, "root"), Scratch: filepath.Join(dir, "scratch"), Notes: filepath.Join(dir, "notes"),
	})
	t.Cleanup(s.Close)
	return s, p
}

func call(t *testing.T, s *Service, method string, body any) error {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	_, files, err := s.Handle(t.Context(), method, b)
	for _, f := range files {
		_ = f.Close()
	}
	return err
}

// A wasm-task that was taken over asks for what is not its pod's.
func TestForgedContainersAreRefused(t *testing.T) {
	s, _ := newService(t)
	for id, is := range map[string]func(error) bool{
		"other":                 errdefs.IsPermissionDenied,
		"free":                  errdefs.IsPermissionDenied, // in no pod at all
		"unknown":               errdefs.IsNotFound,
		"":                      errdefs.IsInvalidArgument,
		"..":                    errdefs.IsInvalidArgument,
		"../../other":           errdefs.IsInvalidArgument,
		"a/b":                   errdefs.IsInvalidArgument,
		"nul\x00":               errdefs.IsInvalidArgument,
		strings.Repeat("x", 99): errdefs.IsInvalidArgument,
	} {
		for method, body := range map[string]any{
			hostapi.MethodPrepare: hostapi.PrepareRequest{Container: id},
			hostapi.MethodExec:    hostapi.ExecRequest{Container: id, Exec: "x", Command: "/etc/shadow"},
		} {
			if err := call(t, s, method, body); !is(err) {
				t.Errorf("%s of %q: %v", method, id, err)
			}
		}
	}
	if entries, err := os.ReadDir(s.pod.Root); err != nil || len(entries) > 0 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
	if len(s.containers) > 0 || len(s.History()) > 0 {
		t.Errorf("something is remembered: %v, %v", s.containers, s.History())
	}
}

// Nothing outside of the pod's own directories is removed, whatever the id.
func TestRemoveStaysInside(t *testing.T) {
	s, _ := newService(t)
	victim := filepath.Join(filepath.Dir(s.pod.Root), "victim")
	if err := os.MkdirAll(filepath.Join(victim, rootfsName), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"../../victim", "..", "", "../c/../../victim"} {
		if err := call(t, s, hostapi.MethodRemove, hostapi.RemoveRequest{Container: id}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := os.Stat(filepath.Join(victim, rootfsName)); err != nil {
		t.Error(err)
	}
	if err := call(t, s, hostapi.MethodRemove, hostapi.RemoveRequest{Container: "never-there"}); err != nil {
		t.Errorf("of a container that has nothing: %v", err)
	}
}

// Refused containers and containers that have gone are not kept.
func TestStateIsBounded(t *testing.T) {
	s, _ := newService(t)
	for i := range 3 * maxContainers {
		_ = call(t, s, hostapi.MethodPrepare, hostapi.PrepareRequest{Container: fmt.Sprint("c", i)})
	}
	if n := len(s.containers); n > 0 {
		t.Errorf("%d containers are remembered", n)
	}
}

func TestEvents(t *testing.T) {
	s, p := newService(t)
	send := func(topic string, e proto.Message, typeName string) error {
		b, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return call(t, s, hostapi.MethodEvent, hostapi.EventRequest{Topic: topic, Type: typeName, Value: b})
	}
	exit := &eventstypes.TaskExit{ContainerID: "mine", ID: "mine", ExitStatus: 3}
	if err := send("/tasks/exit", exit, "containerd.events.TaskExit"); err != nil {
		t.Error(err)
	}
	got := &eventstypes.TaskExit{}
	if err := proto.Unmarshal(p["k8s.io /tasks/exit containerd.events.TaskExit"], got); err != nil || !proto.Equal(got, exit) {
		t.Errorf("published %v: %v, %v", p, got, err)
	}
	for name, c := range map[string]struct {
		err error
		is  func(error) bool
	}{
		"of another pod's container": {send("/tasks/oom", &eventstypes.TaskOOM{ContainerID: "other"}, "containerd.events.TaskOOM"), errdefs.IsPermissionDenied},
		"of nothing":                 {send("/tasks/oom", &eventstypes.TaskOOM{}, "containerd.events.TaskOOM"), errdefs.IsNotFound},
		"about images":               {send("/images/delete", &eventstypes.ImageDelete{Name: "x"}, "containerd.events.ImageDelete"), errdefs.IsPermissionDenied},
		"about pods":                 {send("/sandboxes/exit", &eventstypes.SandboxExit{SandboxID: "other-pod"}, "containerd.events.SandboxExit"), errdefs.IsPermissionDenied},
		"of another type":            {send("/tasks/oom", exit, "containerd.events.TaskExit"), errdefs.IsInvalidArgument},
		"no event": {call(t, s, hostapi.MethodEvent, hostapi.EventRequest{
			Topic: "/tasks/exit", Type: "containerd.events.TaskExit", Value: []byte{0xff},
		}), errdefs.IsInvalidArgument},
	} {
		if !c.is(c.err) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if len(p) != 1 {
		t.Errorf("published %v", p)
	}
}

// What one service noted the next one knows; reports of strangers are refused.
func TestHistory(t *testing.T) {
	s, _ := newService(t)
	if err := call(t, s, hostapi.MethodReport, hostapi.ReportRequest{Container: "mine", Message: "x"}); !errdefs.IsNotFound(err) {
		t.Errorf("report of a container that was never there: %v", err)
	}
	if err := s.note("mine", func(e *Entry) { e.Engine = "wazero" }); err != nil {
		t.Fatal(err)
	}
	report := hostapi.ReportRequest{Container: "mine", Status: 134, Message: strings.Repeat("trap ", 10000)}
	if err := call(t, s, hostapi.MethodReport, report); err != nil {
		t.Fatal(err)
	}
	again := New(s.node, s.pod)
	defer again.Close()
	for _, h := range []map[string]Entry{s.History(), again.History()} {
		e := h["mine"]
		if e.Engine != "wazero" || e.Exit == nil || e.Exit.Status != 134 || len(e.Exit.Message) > maxReport {
			t.Errorf("history %+v", h)
		}
	}
	for i := range 2 * maxHistory {
		if err := s.note(fmt.Sprint("c", i), func(*Entry) {}); err != nil {
			t.Fatal(err)
		}
	}
	notes, err := os.ReadDir(s.pod.Notes)
	if err != nil || len(notes) > maxHistory || len(s.History()) > maxHistory {
		t.Errorf("%d notes, %d entries, %v", len(notes), len(s.History()), err)
	}
}

func TestUnknownMethod(t *testing.T) {
	s, _ := newService(t)
	if err := call(t, s, "mount", struct{}{}); !errdefs.IsNotImplemented(err) {
		t.Error(err)
	}
	if _, _, err := s.Handle(t.Context(), hostapi.MethodRemove, []byte(`{"container":"mine","path":"/"}`)); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
}
