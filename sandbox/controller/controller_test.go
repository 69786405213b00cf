package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/proc"
	"blazar/sandbox"
	"blazar/sandbox/state"
)

// A Start that hangs holds up its own pod, and Stop ends it.
func TestStartHangs(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))
	entered := make(chan struct{})
	d.behave["stuck"] = func(s *faultySandbox) {
		s.onStart = func(ctx context.Context) error { close(entered); <-ctx.Done(); return ctx.Err() }
	}
	d.must(d.tryCreate("stuck"))
	started := make(chan error, 1)
	ctx := d.call()
	go func() {
		_, err := d.api.Start(ctx, &api.ControllerStartRequest{SandboxID: "stuck"})
		started <- err
	}()
	<-entered
	d.healthy()
	if got := d.status("stuck").GetState(); got != stateNotReady {
		t.Errorf("state %s", got)
	}
	waited := make(chan *api.ControllerWaitResponse, 1)
	go func() {
		r, _ := d.api.Wait(ctx, &api.ControllerWaitRequest{SandboxID: "stuck"}) // nil if it failed
		waited <- r
	}()
	d.status("stuck") // so that the Wait is under way, most of the time
	d.must(d.tryStop("stuck"))
	d.code("Start that was stopped", <-started, codes.Canceled)
	if r := <-waited; r != nil && r.GetExitStatus() != statusUnknown {
		t.Errorf("exit %v", r)
	}
	d.code("Status", statusErr(d, "stuck"), codes.NotFound)
	d.clean()
}

// A kind that does not heed its context costs its own pod, for as long as it takes.
func TestKindIgnoresContext(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))
	entered, release := make(chan struct{}), make(chan struct{})
	d.behave["deaf"] = func(s *faultySandbox) {
		s.onStart = func(context.Context) error { close(entered); <-release; return nil }
	}
	d.must(d.tryCreate("deaf"))
	ctx := d.call()
	started := make(chan error, 1)
	go func() {
		_, err := d.api.Start(ctx, &api.ControllerStartRequest{SandboxID: "deaf"})
		started <- err
	}()
	<-entered
	d.code("Stop", d.tryStop("deaf"), codes.DeadlineExceeded)
	d.code("Shutdown", d.tryShutdown("deaf"), codes.DeadlineExceeded)
	d.healthy()
	close(release)
	// It did start, but after it was stopped.
	d.code("Start", <-started, codes.Canceled)
	select {
	case <-d.get("deaf").ended:
	default:
		t.Error("what started after all was not stopped")
	}
	d.must(d.tryShutdown("deaf"))
	d.clean()
}

// A pod whose caller has gone away while it started is known to nobody: it is ended.
func TestStartCallerGoes(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))
	ctx, cancel := context.WithCancel(d.call())
	d.behave["left"] = func(s *faultySandbox) {
		s.onStart = func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil }
	}
	d.must(d.tryCreate("left"))
	_, err := d.api.Start(ctx, &api.ControllerStartRequest{SandboxID: "left"})
	d.code("Start", err, codes.Canceled)
	d.eventually("the pod is gone", func() bool { return status.Code(statusErr(d, "left")) == codes.NotFound })
	<-d.get("left").ended
	d.clean()
}

func TestFailures(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))

	d.onCreate["create"] = func(context.Context, *sandbox.Request) error { return errdefs.ErrResourceExhausted }
	d.code("Create", d.tryCreate("create"), codes.ResourceExhausted)
	d.clean()

	d.behave["start"] = func(s *faultySandbox) {
		s.onStart = func(context.Context) error { return errdefs.ErrPermissionDenied }
	}
	d.must(d.tryCreate("start"))
	d.code("Start", d.tryStart("start"), codes.PermissionDenied)
	// containerd forgets it without a Shutdown: it must be gone.
	d.clean()
	d.code("second Start", d.tryStart("start"), codes.NotFound)
	d.must(d.tryShutdown("start"))
	if got := d.get("start").deleted; got != 1 {
		t.Errorf("deleted %d times", got)
	}

	// What Stop cannot do, Delete may.
	d.behave["stop"] = func(s *faultySandbox) {
		s.onStop = func(context.Context) error { return errdefs.ErrUnavailable }
	}
	d.run("stop")
	d.code("Stop", d.tryStop("stop"), codes.Unavailable)
	if got := d.status("stop").GetState(); got != stateReady {
		t.Errorf("state %s", got)
	}
	d.must(d.tryShutdown("stop"))
	d.clean()

	// A Delete that fails can be done again; nothing is forgotten before.
	fails := true
	d.behave["delete"] = func(s *faultySandbox) {
		s.onDel = func(context.Context) error {
			if fails {
				return errdefs.ErrUnavailable
			}
			return nil
		}
	}
	d.run("delete")
	d.code("Shutdown", d.tryShutdown("delete"), codes.Unavailable)
	if got := d.status("delete").GetState(); got != stateNotReady {
		t.Errorf("state %s", got)
	}
	fails = false
	d.must(d.tryShutdown("delete"))
	d.code("Status", statusErr(d, "delete"), codes.NotFound)
	d.clean()

	// What failed and cannot be deleted at once is deleted later, unasked.
	var stuck atomic.Bool
	stuck.Store(true)
	onDel := func(context.Context) error {
		if stuck.Load() {
			return errdefs.ErrUnavailable
		}
		return nil
	}
	d.behave["create"] = func(s *faultySandbox) { s.onDel = onDel }
	ctx, cancel := context.WithCancel(d.call())
	d.onCreate["create"] = func(ctx context.Context, _ *sandbox.Request) error { cancel(); <-ctx.Done(); return nil }
	_, err := d.api.Create(ctx, &api.ControllerCreateRequest{SandboxID: "create"})
	d.code("Create", err, codes.Canceled)
	d.behave["start"] = func(s *faultySandbox) {
		s.onStart = func(context.Context) error { return errdefs.ErrPermissionDenied }
		s.onDel = onDel
	}
	d.must(d.tryCreate("start"))
	d.code("Start", d.tryStart("start"), codes.PermissionDenied)
	st := d.status("start")
	if st.GetState() != stateNotReady || !strings.Contains(st.GetInfo()["exit"], "could not be started") {
		t.Errorf("status %v", st)
	}
	d.wait("start")
	for _, id := range []string{"create", "start"} {
		d.code("Create again of "+id, d.tryCreate(id), codes.AlreadyExists)
	}
	d.code("Status of one that was not created", statusErr(d, "create"), codes.NotFound)
	stuck.Store(false)
	d.eventually("the failed ones are gone", func() bool {
		return d.service.lookup("start") == nil && d.service.lookup("create") == nil
	})
	d.clean()
}

func statusErr(d *daemon, id string) error {
	_, err := d.api.Status(d.call(), &api.ControllerStatusRequest{SandboxID: id})
	return err
}

// A panic in a kind fails its own request.
func TestPanics(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))
	d.onCreate["create"] = func(context.Context, *sandbox.Request) error { panic("create") }
	d.code("Create", d.tryCreate("create"), codes.Internal)
	d.behave["start"] = func(s *faultySandbox) { s.onStart = func(context.Context) error { panic("start") } }
	d.must(d.tryCreate("start"))
	d.code("Start", d.tryStart("start"), codes.Internal)
	d.must(d.tryShutdown("start"))
	d.behave["wait"] = func(s *faultySandbox) {
		s.onWait = func(context.Context) (*sandbox.Exit, error) { panic("wait") }
	}
	d.run("wait")
	if r := d.wait("wait"); r.GetExitStatus() != statusUnknown {
		t.Errorf("exit %v", r)
	}
	d.must(d.tryShutdown("wait"))
	d.behave["rest"] = func(s *faultySandbox) {
		s.metrics = func() (proto.Message, error) { panic("metrics") }
		stops := 0
		s.onStop = func(context.Context) error {
			if stops++; stops == 1 {
				panic("stop")
			}
			return nil
		}
	}
	d.run("rest")
	_, err := d.api.Metrics(d.call(), &api.ControllerMetricsRequest{SandboxID: "rest"})
	d.code("Metrics", err, codes.Internal)
	d.code("Stop", d.tryStop("rest"), codes.Internal)
	d.must(d.tryShutdown("rest"))
	d.healthy()
	d.clean()
}

func sampleOptions(name string) *anypb.Any {
	options, err := typeurl.MarshalAnyToProto(&cri.PodSandboxConfig{
		Metadata:    &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		Annotations: map[string]string{"blazar/engine": "wazero", "both": "pod"},
		Linux:       &cri.LinuxPodSandboxConfig{CgroupParent: "/kubepods/" + name},
	})
	if err != nil {
		panic(err)
	}
	return options
}

// The kind sees the request as the CRI plugin makes it, again after a restart.
func TestRequest(t *testing.T) {
	root := rootOf(t)
	d := serve(t, newFaulty(), root)
	metadata := &anypb.Any{TypeUrl: "x", Value: []byte(`{"Version":"v1","Metadata":{"ID":"p","RuntimeHandler":"blazar-wasmtime"}}`)}
	d.onCreate["p"] = func(ctx context.Context, r *sandbox.Request) error { return r.Save(ctx, map[string]int{"uid": 5}) }
	_, err := d.api.Create(d.call(), &api.ControllerCreateRequest{
		SandboxID: "p", Options: sampleOptions("p"), NetnsPath: "/run/netns/p",
		Annotations: map[string]string{"both": "sandbox", "own": "1"},
		Sandbox:     &types.Sandbox{SandboxID: "p", Extensions: map[string]*anypb.Any{"metadata": metadata}},
	})
	d.must(err)
	check := func(r *sandbox.Request) {
		t.Helper()
		if r.ID != "p" || r.Namespace != "k8s.io" || r.NetNS != "/run/netns/p" || r.RuntimeHandler != "blazar-wasmtime" ||
			r.Dir != filepath.Join(root, "s", "p") || r.Config.GetLinux().GetCgroupParent() != "/kubepods/p" {
			t.Errorf("request %+v", r)
		}
		if a := r.Annotations; a["blazar/engine"] != "wazero" || a["both"] != "sandbox" || a["own"] != "1" || len(a) != 3 {
			t.Errorf("annotations %v", a)
		}
		if info, err := os.Stat(r.Dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("directory %v: %v", info, err)
		}
	}
	check(d.get("p").request)
	d.must(d.tryStart("p"))
	d.end()

	f := newFaulty()
	f.onRecover["p"] = func(saved json.RawMessage) error {
		if string(saved) != `{"uid":5}` {
			return fmt.Errorf("saved %s", saved)
		}
		return nil
	}
	d = serve(t, f, root)
	check(d.get("p").request)
	if got := d.status("p").GetState(); got != stateReady {
		t.Errorf("state %s", got)
	}

	// An update holds, for the kind and after a restart.
	change := &anypb.Any{TypeUrl: "x", Value: []byte(`{"Overhead":{"cpu_shares":2},"Resources":{"memory_limit_in_bytes":77}}`)}
	_, err = d.api.Update(d.call(), &api.ControllerUpdateRequest{
		SandboxID: "p", Fields: []string{"extensions"},
		Sandbox: &types.Sandbox{SandboxID: "p", Extensions: map[string]*anypb.Any{"updated-resources": change}},
	})
	d.must(err)
	updated := func(r *sandbox.Request) {
		t.Helper()
		l := r.Config.GetLinux()
		if l.GetResources().GetMemoryLimitInBytes() != 77 || l.GetOverhead().GetCpuShares() != 2 || l.GetCgroupParent() != "/kubepods/p" {
			t.Errorf("updated to %v", l)
		}
	}
	updated(d.get("p").updated)
	if old := d.get("p").request.Config.GetLinux().GetResources(); old != nil {
		t.Errorf("the old request was changed: %v", old)
	}
	d.end()
	d = serve(t, f, root)
	updated(d.get("p").request)
	late := d.get("p").request
	d.must(d.tryShutdown("p"))
	if err := late.Save(d.call(), 1); !errdefs.IsNotFound(err) {
		t.Errorf("Save after Shutdown: %v", err)
	}
	// Callers other than the CRI plugin send no configuration.
	_, err = d.api.Create(context.Background(), &api.ControllerCreateRequest{SandboxID: "plain"})
	d.must(err)
	if r := d.get("plain").request; r.Config == nil || r.Namespace != "default" || r.Annotations == nil {
		t.Errorf("request %+v", r)
	}
	d.must(d.tryShutdown("plain"))
	d.clean()
}

func TestStatusAndMetrics(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))
	var message proto.Message
	d.behave["p"] = func(s *faultySandbox) { s.metrics = func() (proto.Message, error) { return message, nil } }
	d.run("p")
	info := d.status("p").GetInfo()
	for key, want := range map[string]string{
		"kind": "faulty", "engine": "none", "paths": `{"a":"/b"}`, "limit": "5", "version": "1",
		"pid": fmt.Sprint(os.Getpid()), "address": "ttrpc+unix:///x", "phase": "started",
	} {
		if info[key] != want {
			t.Errorf("info[%s] is %q, want %q", key, info[key], want)
		}
	}
	if _, ok := info["info"]; ok {
		t.Error("the CRI plugin's own key is used")
	}
	metrics := func() (*api.ControllerMetricsResponse, error) {
		return d.api.Metrics(d.call(), &api.ControllerMetricsRequest{SandboxID: "p"})
	}
	_, err := metrics()
	d.code("Metrics of a kind that returns nothing", err, codes.Internal)
	packed := &anypb.Any{TypeUrl: "io.containerd.cgroups.v2.Metrics"}
	for want, m := range map[string]proto.Message{
		"io.containerd.cgroups.v1.Metrics": &cgroup1.Metrics{},
		packed.TypeUrl:                     packed,
	} {
		message = m
		r, err := metrics()
		d.must(err)
		if got := r.GetMetrics().GetData().GetTypeUrl(); got != want {
			t.Errorf("metrics are %s, want %s", got, want)
		}
	}
	d.must(d.tryShutdown("p"))
}

// What a daemon that was killed had not finished is cleaned up.
func TestRecoverUnfinished(t *testing.T) {
	root := rootOf(t)
	store, err := state.Open(filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	// A lost pod's process, and one that has the pid of another.
	lost, innocent := exec.CommandContext(t.Context(), "sleep", "1000"), exec.CommandContext(t.Context(), "sleep", "1000")
	for _, c := range []*exec.Cmd{lost, innocent} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := proc.RefOf(lost.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	startOf := func(pid int, since uint64) *state.Start {
		return &state.Start{Pid: uint32(pid), StartTime: since, Address: "ttrpc+unix:///x", CreatedAt: at}
	}
	start := &state.Start{Pid: 1, Address: "ttrpc+unix:///x", CreatedAt: at}
	for _, r := range []*state.Record{
		{ID: "creating", Kind: "faulty", Phase: state.Creating},
		{ID: "created", Kind: "faulty", Phase: state.Created},
		{ID: "unstarted", Kind: "faulty", Phase: state.Created, Config: []byte{10, 0}}, // the CRI plugin's
		{ID: "failed", Kind: "faulty", Phase: state.Failed, Exit: &state.Exit{At: at}},
		{ID: "starting", Kind: "faulty", Phase: state.Starting},
		{ID: "lost", Kind: "faulty", Phase: state.Started, Start: startOf(ref.Pid, ref.StartTime)},
		{ID: "panics", Kind: "faulty", Phase: state.Started, Start: startOf(innocent.Process.Pid, 1)},
		{ID: "stopped", Kind: "faulty", Phase: state.Stopped, Start: start, Exit: &state.Exit{Status: 3, At: at}},
		{ID: "other", Kind: "other", Phase: state.Created},
	} {
		if err := errors.Join(store.Create(r.ID), store.Put(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(store.Create("corrupt"), os.WriteFile(filepath.Join(store.Dir("corrupt"), "sandbox.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	f := newFaulty()
	f.onRecover["lost"] = func(json.RawMessage) error { return errdefs.ErrDataLoss }
	f.onRecover["panics"] = func(json.RawMessage) error { panic("recover") }
	d := serve(t, f, root)
	for _, id := range []string{"creating", "starting", "failed"} {
		d.code("Status of one that was "+id, statusErr(d, id), codes.NotFound)
		if got := d.get(id).deleted; got != 1 {
			t.Errorf("%s: deleted %d times", id, got)
		}
		if _, err := os.Stat(store.Dir(id)); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		select {
		case <-d.get(id).ended:
		default:
			t.Errorf("%s: not stopped", id)
		}
	}
	if got := d.status("unstarted").GetInfo()["phase"]; got != string(state.Created) {
		t.Errorf("phase %q", got)
	}
	d.eventually("the one that nobody starts is gone", func() bool { return d.service.lookup("unstarted") == nil })
	for _, id := range []string{"lost", "panics"} {
		if r := d.wait(id); r.GetExitStatus() != statusUnknown {
			t.Errorf("%s: exit %v", id, r)
		}
		st := d.status(id)
		if st.GetState() != stateNotReady || st.GetInfo()["exit"] == "" {
			t.Errorf("%s: %v", id, st)
		}
		d.code("Start of "+id, d.tryStart(id), codes.FailedPrecondition)
	}
	if r := d.wait("stopped"); r.GetExitStatus() != 3 || !r.GetExitedAt().AsTime().Equal(at) {
		t.Errorf("exit %v", r)
	}
	d.must(d.tryStart("created"))
	d.code("Status of another kind's", statusErr(d, "other"), codes.NotFound)
	for _, id := range []string{"created", "lost", "panics", "stopped"} {
		d.must(d.tryShutdown(id))
	}
	_ = lost.Wait() // it was killed, and may have been reaped
	if _, err := proc.Open(ref); !errdefs.IsNotFound(err) {
		t.Errorf("the process of a lost pod: %v", err)
	}
	if err := innocent.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process that has a lost pod's pid: %v", err)
	}
	d.must(innocent.Process.Kill())
	_ = innocent.Wait() // it was killed
	entries, err := os.ReadDir(store.Root())
	d.must(err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if fmt.Sprint(left) != "[.corrupt other]" {
		t.Errorf("left: %v", left)
	}
}
