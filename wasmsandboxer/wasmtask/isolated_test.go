package wasmtask

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// podHost is the host service of a pod, whose containers run in a worker that is
// served in this process.
type podHost struct {
	t      *testing.T
	worker *fakeHost // the worker's own
	deaf   bool      // the worker does not answer

	mu      sync.Mutex // guards the fields below
	killed  int
	reports []hostapi.ReportRequest
	end     func()
}

func (h *podHost) Call(_ context.Context, method string, body, reply any) ([]*os.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch method {
	case hostapi.MethodPrepare:
		f := h.serve()
		return []*os.File{f}, copyJSON(hostapi.PrepareReply{
			Roles: []string{hostapi.RoleWorker}, Worker: &hostapi.Worker{Pid: 4711},
		}, reply)
	case hostapi.MethodKill:
		h.killed++
		h.end()
		return nil, copyJSON(hostapi.KillReply{Reason: "it was killed", OOM: h.worker.reply.MemoryLimit == 1}, reply)
	case hostapi.MethodRemove:
		h.end()
		return nil, nil
	case hostapi.MethodReport:
		h.reports = append(h.reports, *body.(*hostapi.ReportRequest))
		return nil, nil
	}
	return nil, errdefs.ErrNotImplemented
}

// serve makes a worker and returns the connection to it.
func (h *podHost) serve() *os.File {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "task"), os.NewFile(uintptr(fds[1]), "worker")
	l, err := NewSingle(theirs)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = theirs.Close() // the listener has its own
	if h.deaf {
		h.end = sync.OnceFunc(func() { _ = l.Close() })
		return ours
	}
	t, err := ttrpc.NewServer()
	if err != nil {
		h.t.Fatal(err)
	}
	feed := NewFeed()
	feed.Register(t)
	// A worker knows itself by another pid: nobody asks it.
	rt := &noted{Runtime: New(h.worker, registry(), hostapi.Hello{Pid: 1, Container: "c"})}
	server := task.NewServer(rt, task.Options{Publisher: feed, Pid: 1})
	server.Register(t)
	ended := make(chan error, 1)
	go func() { ended <- t.Serve(context.Background(), l) }()
	h.end = sync.OnceFunc(func() {
		// As the end of a process, which closes nothing but ends everything.
		if err := l.conn.Conn.(*net.UnixConn).CloseRead(); err != nil {
			h.t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			h.t.Errorf("the worker ended with %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = server.Close(ctx) // events that nobody takes any more
		if rt.made != nil {
			if err := rt.made.Delete(context.Background()); err != nil {
				h.t.Error(err)
			}
		}
	})
	return ours
}

// noted is a Runtime that notes what it made.
type noted struct {
	*Runtime
	made task.Container
}

func (n *noted) Create(ctx context.Context, q *task.CreateRequest) (c task.Container, err error) {
	c, err = n.Runtime.Create(ctx, q)
	if err == nil {
		n.made = c
	}
	return c, err
}

// createIsolated makes a container in a worker; it is deleted with the test.
func createIsolated(t *testing.T, h *fakeHost, deaf bool) (*podHost, *isolated) {
	t.Helper()
	p := &podHost{t: t, worker: h, deaf: deaf, end: func() {}}
	c, err := New(p, registry(), hostapi.Hello{Pid: 42}).Create(t.Context(), &task.CreateRequest{ID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p, c.(*isolated)
}

func TestIsolatedExit(t *testing.T) {
	h := newHost(t, "exit", "42")
	p, c := createIsolated(t, h, false)
	start(t, c) // with the pid that the daemon said
	if got := wait(t, c); got != 42 {
		t.Errorf("exit code %d", got)
	}
	for range c.OOM() {
		t.Error("it was not out of memory")
	}
	if err := c.Kill(t.Context(), syscall.SIGKILL, false); !errdefs.IsNotFound(err) {
		t.Errorf("kill after the end: %v", err)
	}
	if p.killed > 0 || len(p.reports) > 0 {
		t.Errorf("killed %d times, reports %v", p.killed, p.reports)
	}
}

// That memory ran out is known before the exit is.
func TestIsolatedOutOfMemory(t *testing.T) {
	h := newHost(t, "leak")
	h.reply.MemoryLimit = 16 << 20
	_, c := createIsolated(t, h, false)
	start(t, c)
	if got := wait(t, c); got != 137 {
		t.Errorf("exit code %d", got)
	}
	n := 0
	for range c.OOM() {
		n++
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
	if words := read(t, h.stderr); !strings.Contains(words, "memory limit of 16 MiB exceeded") {
		t.Errorf("stderr %q", words)
	}
}

func TestIsolatedExecAndStats(t *testing.T) {
	_, c := createIsolated(t, newHost(t, "spin"), false)
	start(t, c)
	x := execOf(t, c, "exit", "7")
	start(t, x)
	if got := wait(t, x); got != 7 {
		t.Errorf("exit code %d", got)
	}
	m, err := c.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, ok := m.(*anypb.Any)
	if !ok {
		t.Fatalf("statistics %T", m)
	}
	v, err := typeurl.UnmarshalAny(a)
	if s, ok := v.(*cgroup1.Metrics); err != nil || !ok || s.GetMemory().GetUsage().GetUsage() == 0 {
		t.Errorf("statistics %v, %v", v, err)
	}
	if pids, err := c.Pids(t.Context()); err != nil || len(pids) != 1 || pids[0] != 4711 {
		t.Errorf("pids %v, %v", pids, err)
	}
	kill(t, c, syscall.SIGTERM)
	if got := wait(t, c); got != 143 {
		t.Errorf("exit code %d", got)
	}
}

// A worker that is gone takes its container along, and the daemon says why.
func TestWorkerIsGone(t *testing.T) {
	for name, limit := range map[string]uint64{"killed": 0, "out of memory": 1} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "sleep")
			p, c := createIsolated(t, h, false)
			start(t, c)
			x := execOf(t, c, "sleep")
			start(t, x)
			h.reply.MemoryLimit = limit
			p.end()
			for _, process := range []task.Process{c, x} {
				if got := wait(t, process); got != 137 {
					t.Errorf("exit code %d", got)
				}
			}
			n := uint64(0)
			for range c.OOM() {
				n++
			}
			if n != limit {
				t.Errorf("told of memory %d times", n)
			}
			if len(p.reports) != 1 || p.reports[0].Status != 137 || !strings.Contains(p.reports[0].Message, "it was killed") {
				t.Errorf("reports %+v", p.reports)
			}
			_, err := c.Exec(t.Context(), &task.ExecRequest{ID: "y", Process: &specs.Process{Args: []string{"x"}}})
			if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "it was killed") {
				t.Errorf("exec: %v", err)
			}
			if err := c.Kill(t.Context(), syscall.SIGTERM, false); !errdefs.IsNotFound(err) {
				t.Errorf("kill: %v", err)
			}
		})
	}
}

// One that never answers neither makes a container nor keeps anybody waiting.
func TestDeafWorker(t *testing.T) {
	p := &podHost{t: t, worker: newHost(t), deaf: true, end: func() {}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := New(p, registry(), hostapi.Hello{Pid: 42}).Create(ctx, &task.CreateRequest{ID: "c"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// The limit of the cgroup is raised before the guest's and lowered after it.
func TestUpdateInAWorker(t *testing.T) {
	h := newHost(t, "sleep")
	h.reply.MemoryLimit = 64 << 20
	var c *container
	var seen []uint64
	h.update = func(hostapi.UpdateRequest) error {
		seen = append(seen, c.limit.Load())
		return nil
	}
	made, err := New(h, registry(), hostapi.Hello{Pid: 4711, Container: "c"}).Create(t.Context(), &task.CreateRequest{ID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	c = made.(*container)
	t.Cleanup(func() {
		if err := c.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, limit := range []int64{128 << 20, 32 << 20, 0} {
		if err := c.Update(t.Context(), &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []uint64{64 << 20, 32 << 20, 32 << 20}
	for i := range want {
		if len(seen) != len(want) || seen[i] != want[i] {
			t.Fatalf("the guest's limits were %v when the cgroup's was set, not %v", seen, want)
		}
	}
}
