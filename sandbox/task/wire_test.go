package task

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/containerd/containerd/api/events"
	taskv2 "github.com/containerd/containerd/api/runtime/task/v2"
	taskv3 "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/runc/options"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/reflect/protoreflect"

	"blazar/sandbox/task/taskapi"
)

// The messages are containerd's, field by field.
func TestSameOnTheWire(t *testing.T) {
	ours := taskapi.File_sandbox_task_taskapi_taskapi_proto
	seen := map[protoreflect.Name]bool{}
	compare := func(theirs protoreflect.MessageDescriptor) {
		m := ours.Messages().ByName(theirs.Name())
		if m == nil {
			return
		}
		seen[m.Name()] = true
		if m.Fields().Len() != theirs.Fields().Len() {
			t.Errorf("%s has %d fields, ours %d", theirs.FullName(), theirs.Fields().Len(), m.Fields().Len())
		}
		for i := range theirs.Fields().Len() {
			a := theirs.Fields().Get(i)
			b := m.Fields().ByNumber(a.Number())
			if b == nil || a.Name() != b.Name() || a.Kind() != b.Kind() || a.Cardinality() != b.Cardinality() || a.IsMap() != b.IsMap() {
				t.Errorf("%s: ours is %v", a.FullName(), b)
				continue
			}
			if a.Message() != nil && !a.IsMap() && a.Message().Name() != b.Message().Name() {
				t.Errorf("%s is a %s, ours a %s", a.FullName(), a.Message().Name(), b.Message().Name())
			}
		}
	}
	services := []protoreflect.FileDescriptor{taskv2.File_runtime_task_v2_shim_proto, taskv3.File_runtime_task_v3_shim_proto}
	for _, f := range append(services, events.File_events_task_proto, types.File_types_mount_proto, tasktypes.File_types_task_task_proto) {
		for i := range f.Messages().Len() {
			compare(f.Messages().Get(i))
		}
	}
	for i := range ours.Messages().Len() {
		if name := ours.Messages().Get(i).Name(); !seen[name] {
			t.Errorf("%s is in none of containerd's files", name)
		}
	}
	their, our := tasktypes.File_types_task_task_proto.Enums().ByName("Status").Values(), ours.Enums().ByName("Status").Values()
	for i := range their.Len() {
		if v := our.ByName(their.Get(i).Name()); v == nil || v.Number() != their.Get(i).Number() {
			t.Errorf("status %s is %v", their.Get(i).Name(), v)
		}
	}
	// Both versions of the service have the methods that are served, and no other.
	for i, name := range []string{taskapi.ServiceV2, taskapi.ServiceV3} {
		service := services[i].Services().ByName("Task")
		if string(service.FullName()) != name {
			t.Errorf("service %s, ours %s", service.FullName(), name)
		}
		if n := service.Methods().Len(); n != 17 {
			t.Errorf("%s has %d methods", name, n)
		}
	}
}

// containerd's own clients of both versions are understood.
func TestContainerdClients(t *testing.T) {
	s := serve(t, Options{})
	v3 := taskv3.NewTTRPCTaskClient(s.dial())
	v2 := taskv2.NewTTRPCTaskClient(s.dial())
	_, err := v3.Create(s.call(), &taskv3.CreateTaskRequest{ID: "c", Bundle: "/b", Rootfs: []*types.Mount{{Type: "bind", Source: "/s"}}, Stdout: "/o"})
	s.must(err)
	started, err := v2.Start(s.call(), &taskv2.StartRequest{ID: "c"})
	s.must(err)
	s.exec("c", "e")
	_, err = v3.Start(s.call(), &taskv3.StartRequest{ID: "c", ExecID: "e"})
	s.must(err)
	state, err := v3.State(s.call(), &taskv3.StateRequest{ID: "c"})
	s.must(err)
	if state.Status != tasktypes.Status_RUNNING || state.Pid != started.Pid || state.Bundle != "/b" || state.Stdout != "/o" || state.ExitedAt != nil {
		t.Errorf("state %v", state)
	}
	s.get("c").pidsOf = func() ([]uint32, error) { return []uint32{1, 4242}, nil }
	pids, err := v2.Pids(s.call(), &taskv2.PidsRequest{ID: "c"})
	s.must(err)
	if len(pids.Processes) != 2 {
		t.Errorf("pids %v", pids)
	}
	_, err = v2.Delete(s.call(), &taskv2.DeleteRequest{ID: "c"})
	s.is("Delete of a running container", errgrpc.ToNative(err), errdefs.IsFailedPrecondition)
	_, err = v2.Kill(s.call(), &taskv2.KillRequest{ID: "c", Signal: 9})
	s.must(err)
	w2, err := v2.Wait(s.call(), &taskv2.WaitRequest{ID: "c"})
	s.must(err)
	w3, err := v3.Wait(s.call(), &taskv3.WaitRequest{ID: "c"})
	s.must(err)
	if w2.ExitStatus != 137 || w3.ExitStatus != 137 || !w2.ExitedAt.AsTime().Equal(w3.ExitedAt.AsTime()) {
		t.Errorf("exits %v and %v", w2, w3)
	}
	_, err = v3.Delete(s.call(), &taskv3.DeleteRequest{ID: "c"})
	s.must(err)
	_, err = v3.Shutdown(s.call(), &taskv3.ShutdownRequest{ID: "c"})
	s.must(err)
}

// Pids tells which exec a process is, with runc's message.
func TestProcessDetails(t *testing.T) {
	v, err := typeurl.UnmarshalAny(processInfo(3, "exec-1").GetInfo())
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := v.(*options.ProcessDetails); !ok || d.ExecID != "exec-1" {
		t.Errorf("details %v", v)
	}
}

// What every wasm-task links must not bring what costs its start.
func TestImports(t *testing.T) {
	for _, pkg := range []string{".", "./stdio", "./taskapi"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range bytes.Lines(out) {
			n++
			path := strings.TrimSpace(string(line))
			for _, bad := range []string{
				"net/http", "html/template", "github.com/containerd/cgroups", "github.com/containerd/containerd/api",
				"google.golang.org/protobuf/types/descriptorpb", "github.com/opencontainers/go-digest",
			} {
				if path == bad || strings.HasPrefix(path, bad+"/") {
					t.Errorf("%s imports %s", pkg, path)
				}
			}
			if rest, ok := strings.CutPrefix(path, "google.golang.org/grpc"); ok {
				switch rest {
				// What ttrpc and errgrpc take of it: codes and statuses.
				case "/codes", "/status", "/internal/status", "/internal", "/grpclog", "/grpclog/internal", "/connectivity", "/serviceconfig":
				default:
					t.Errorf("%s imports %s", pkg, path)
				}
			}
		}
		if n < 20 {
			t.Errorf("%s: only %d packages: %s", pkg, n, out)
		}
	}
}
