package runctask

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/runcsandboxer/runctask/ctl"
	"blazar/sandbox/task"
	"blazar/sandbox/task/taskapi"
)

// Whoever was given one container can do no more than run it, and what it adds runs as
// the container does.
func TestScope(t *testing.T) {
	n := newNode(t)
	daemon := ctl.Client{Path: ctl.Socket(n.state)}
	n.must(daemon.Ready(n.call()))
	other := n.run("sleep")
	c := n.prepare(nil, false, "sleep")
	r := c.request
	var rootfs []task.Mount
	for _, m := range r.GetRootfs() {
		rootfs = append(rootfs, task.Mount{Type: m.GetType(), Source: m.GetSource(), Options: m.GetOptions()})
	}
	n.must(daemon.Create(n.call(), ctl.CreateRequest{
		ID: c.id, Namespace: "testing", Bundle: c.bundle, Rootfs: rootfs, FIFOs: []string{n.dir},
		Stdio: task.Stdio{Stdin: r.GetStdin(), Stdout: r.GetStdout(), Stderr: r.GetStderr()},
	}))
	if _, err := daemon.Connect(n.call(), other.id); !errdefs.IsNotFound(err) {
		t.Errorf("connection for a container of containerd's: %v", err)
	}
	conn, err := daemon.Connect(n.call(), c.id)
	n.must(err)
	client := ttrpc.NewClient(conn)
	defer func() { _ = client.Close() }() // twice, when all goes well
	scoped := taskapi.NewClient(client)
	whole := n.tasks
	n.tasks = scoped
	c.start()
	c.says("sleeping")

	e := &ctr{node: n}
	q := c.execRequest(e, "e", false, "cwd")
	q.Spec.Value = []byte(`{"user":{"uid":1234},"cwd":"/proc","env":["SECRET=stolen"],"args":["/guest","cwd"],"capabilities":{"bounding":["CAP_SYS_ADMIN"]}}`)
	n.must(scoped.Exec(n.call(), q))
	_, err = scoped.Start(n.call(), &taskapi.StartRequest{Id: c.id, ExecId: "e"})
	n.must(err)
	c.execExits("e", 0)
	e.stdout.end()
	e.stderr.end()
	if got := e.stdout.string(); got != "/ 0 own\n" {
		t.Errorf("added process: %q", got)
	}
	q = c.execRequest(e, "f", false, "cwd")
	q.Stdout = "/run/somebody/else"
	if err := scoped.Exec(n.call(), q); !errdefs.IsPermissionDenied(err) {
		t.Errorf("exec with somebody else's FIFO: %v", err)
	}
	e.stdout.end()
	e.stderr.end()

	for what, call := range map[string]func(ctx context.Context) error{
		"create": func(ctx context.Context) error {
			_, err := scoped.Create(ctx, &taskapi.CreateTaskRequest{Id: c.id, Bundle: "/"})
			return err
		},
		"delete": func(ctx context.Context) error {
			_, err := scoped.Delete(ctx, &taskapi.DeleteRequest{Id: c.id})
			return err
		},
		"update": func(ctx context.Context) error {
			return scoped.Update(ctx, &taskapi.UpdateTaskRequest{Id: c.id})
		},
		"pause":  func(ctx context.Context) error { return scoped.Pause(ctx, &taskapi.PauseRequest{Id: c.id}) },
		"resume": func(ctx context.Context) error { return scoped.Resume(ctx, &taskapi.ResumeRequest{Id: c.id}) },
		"checkpoint": func(ctx context.Context) error {
			return scoped.Checkpoint(ctx, &taskapi.CheckpointTaskRequest{Id: c.id, Path: n.dir})
		},
	} {
		if err := call(n.call()); !errdefs.IsPermissionDenied(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := scoped.Kill(n.call(), &taskapi.KillRequest{Id: other.id, Signal: 9}); !errdefs.IsNotFound(err) {
		t.Errorf("kill of another container: %v", err)
	}
	if _, err := scoped.State(n.call(), &taskapi.StateRequest{Id: other.id}); !errdefs.IsNotFound(err) {
		t.Errorf("state of another container: %v", err)
	}
	limit := int64(64 << 20)
	n.must(daemon.Update(n.call(), c.id, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}))
	c.kill(syscall.SIGKILL)
	c.exits(137)
	n.must(daemon.Remove(n.call(), c.id))
	n.must(daemon.Remove(n.call(), c.id))
	c.stdout.end()
	c.stderr.end()
	n.tasks = whole
	other.end()
	for _, topic := range []string{"create", "start", "exit", "delete"} {
		if n.events.has("testing /tasks/" + topic + " " + c.id) {
			t.Errorf("event %s of a container that somebody else presents", topic)
		}
	}
	n.must(client.Close())
}

// KillPod ends the containers of one pod, whatever they do.
func TestKillPod(t *testing.T) {
	n := newNode(t)
	daemon := ctl.Client{Path: ctl.Socket(n.state)}
	n.must(daemon.KillPod(n.call(), "unknown"))
	if err := daemon.KillPod(n.call(), ""); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no pod: %v", err)
	}
	if err := (ctl.Client{Path: filepath.Join(n.dir, "none")}).Ready(n.call()); !errdefs.IsUnavailable(err) {
		t.Errorf("no task server: %v", err)
	}
	n.writePod("p1")
	inPod := func(s *specs.Spec) { s.Annotations = map[string]string{sandboxAnnotation: "p1"} }
	all := []*ctr{n.createWith(inPod, false, "sleep"), n.createWith(inPod, false, "deaf"), n.createWith(inPod, false, "exit", "0")}
	all[1].start()
	all[2].start()
	all[2].exits(0)
	alone := n.run("sleep")
	n.must(daemon.KillPod(n.call(), "p1"))
	for _, c := range all {
		if _, err := n.tasks.State(n.call(), &taskapi.StateRequest{Id: c.id}); !errdefs.IsNotFound(err) {
			t.Errorf("%s: %v", c.id, err)
		}
		c.stdout.end()
		c.stderr.end()
	}
	alone.end()
}
