package runctask

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/internal/testneeds"
	"blazar/sandbox/task/taskapi"
)

// guest is the program in containers, built once.
var guest = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "guest")
	c := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "./testdata/guest")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the guest: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if os.Getenv(childState) != "" {
		os.Exit(serveChild())
	}
	code := m.Run()
	if path, err := guest(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a temporary directory
	}
	os.Exit(code)
}

// runtimeOf is the OCI runtime that the tests run with: what BLAZAR_TEST_RUNTIME names,
// or else runc of the tools.
func runtimeOf(t testing.TB) string {
	if path := os.Getenv("BLAZAR_TEST_RUNTIME"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../.cache/bin/runc")
	if err != nil {
		t.Fatal(err)
	}
	testneeds.File(t, path, "make tools")
	return path
}

// eventLog keeps what was forwarded.
type eventLog struct {
	mu  sync.Mutex // guards all
	all []string
}

func (l *eventLog) Forward(_ context.Context, namespace, topic, _ string, value []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, namespace+" "+topic+" "+containerOf(value))
	return nil
}

func (l *eventLog) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all {
		if e == what {
			return true
		}
	}
	return false
}

// node is a task server in this process and what containers need.
type node struct {
	testing.TB
	dir, state, bundles string
	config              Config
	events              *eventLog
	server              *Server
	stop                func()
	tasks               *taskapi.Client
	conn                *ttrpc.Client
	seq                 int
	manager             *manager // nil: no service manager
}

func newNode(t testing.TB, change ...func(*Config)) *node {
	t.Helper()
	n := emptyNode(t, change...)
	n.serve()
	t.Cleanup(func() {
		if t.Failed() {
			n.endAll()
		}
		n.stop()
		n.clean()
	})
	return n
}

// emptyNode is one whose task server is still to be started.
func emptyNode(t testing.TB, change ...func(*Config)) *node {
	t.Helper()
	testneeds.Root(t)
	dir, err := os.MkdirTemp("", "g")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{TB: t, dir: dir, state: filepath.Join(dir, "s"), bundles: filepath.Join(dir, "b"), events: &eventLog{}}
	n.must(os.Mkdir(n.bundles, 0o711))
	n.config = Config{State: n.state, Binary: runtimeOf(t), CommandTimeout: 30 * time.Second}
	for _, f := range change {
		f(&n.config)
	}
	return n
}

// endAll ends what a failed test has left.
func (n *node) endAll() {
	for _, c := range n.server.runtime.all() {
		if err := c.remove(n.call()); err != nil {
			n.Error(err)
		}
	}
}

// clean checks that nothing is left.
func (n *node) clean() {
	n.Helper()
	for _, sub := range []string{"taskd/c", "taskd/runc", "taskd/tty"} {
		entries, err := os.ReadDir(filepath.Join(n.state, sub))
		n.must(err)
		for _, e := range entries {
			n.Errorf("left in %s: %s", sub, e.Name())
		}
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	n.must(err)
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, n.dir) {
			n.Errorf("left mounted: %s", line)
		}
	}
	all, err := filepath.Glob("/sys/fs/cgroup/*/blazar-test-" + filepath.Base(n.dir) + "/*")
	n.must(err)
	for _, dir := range all {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			n.Errorf("left cgroup %s", dir)
		}
	}
	parents, err := filepath.Glob("/sys/fs/cgroup/*/blazar-test-" + filepath.Base(n.dir))
	n.must(err)
	for _, dir := range parents {
		n.must(os.Remove(dir))
	}
	n.must(os.RemoveAll(n.dir))
}

// serve starts the task server.
func (n *node) serve() {
	n.Helper()
	s, err := NewServer(n.Context(), n.config, n.events)
	n.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		n.Fatal(err)
	}
	n.server = s
	n.dial()
	n.stop = sync.OnceFunc(func() {
		_ = n.conn.Close() // the server may have closed it
		cancel()
		if err := <-done; err != nil {
			n.Error(err)
		}
	})
}

// dial connects to the task server.
func (n *node) dial() {
	n.Helper()
	conn, err := net.Dial("unix", Socket(n.state))
	n.must(err)
	n.conn = ttrpc.NewClient(conn)
	n.tasks = taskapi.NewClient(n.conn)
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *node) call() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	n.Cleanup(cancel)
	return namespaces.WithNamespace(ctx, "testing")
}

// ctr is a container and its stdio.
type ctr struct {
	*node
	id, bundle     string
	stdin          *os.File
	stdout, stderr *reader
	request        *taskapi.CreateTaskRequest
}

// spec is the specification of a container.
func (n *node) spec(id string, args ...string) *specs.Spec {
	return &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: append([]string{"/guest"}, args...), Cwd: "/", NoNewPrivileges: true,
			Env: []string{"PATH=/", "SECRET=own"},
			Capabilities: &specs.LinuxCapabilities{
				Bounding: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"},
			},
		},
		Root: &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: "/blazar-test-" + filepath.Base(n.dir) + "/" + id,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace},
			},
		},
	}
}

// prepare makes the bundle, the root file system and the FIFOs of a container.
func (n *node) prepare(s func(*specs.Spec), terminal bool, args ...string) *ctr {
	n.Helper()
	n.seq++
	id := fmt.Sprintf("c%d-%s", n.seq, filepath.Base(n.dir))
	c := &ctr{node: n, id: id, bundle: filepath.Join(n.bundles, id)}
	program, err := guest()
	n.must(err)
	lower := filepath.Join(n.dir, "lower")
	if _, err := os.Stat(lower); err != nil {
		n.must(os.Mkdir(lower, 0o755))
		n.must(os.Link(program, filepath.Join(lower, "guest")))
		for _, d := range []string{"proc", "dev"} {
			n.must(os.Mkdir(filepath.Join(lower, d), 0o755))
		}
	}
	upper, work := filepath.Join(n.dir, id+"-u"), filepath.Join(n.dir, id+"-w")
	for _, d := range []string{c.bundle, filepath.Join(c.bundle, "rootfs"), upper, work} {
		n.must(os.Mkdir(d, 0o755))
	}
	spec := n.spec(id, args...)
	spec.Process.Terminal = terminal
	if s != nil {
		s(spec)
	}
	b, err := json.Marshal(spec)
	n.must(err)
	n.must(os.WriteFile(filepath.Join(c.bundle, "config.json"), b, 0o600))
	c.request = &taskapi.CreateTaskRequest{
		Id: id, Bundle: c.bundle, Terminal: terminal,
		Rootfs: []*taskapi.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + lower, "upperdir=" + upper, "workdir=" + work}}},
	}
	c.request.Stdin, c.request.Stdout, c.request.Stderr = c.fifos("init", terminal)
	return c
}

// create makes a container.
func (n *node) create(args ...string) *ctr { return n.createWith(nil, false, args...) }

func (n *node) createWith(s func(*specs.Spec), terminal bool, args ...string) *ctr {
	n.Helper()
	c := n.prepare(s, terminal, args...)
	_, err := n.tasks.Create(n.call(), c.request)
	n.must(err)
	return c
}

// run makes and starts a container.
func (n *node) run(args ...string) *ctr {
	n.Helper()
	c := n.create(args...)
	c.start()
	return c
}

func (c *ctr) start() uint32 {
	c.Helper()
	r, err := c.tasks.Start(c.call(), &taskapi.StartRequest{Id: c.id})
	c.must(err)
	return r.GetPid()
}

func (c *ctr) kill(s syscall.Signal) {
	c.Helper()
	c.must(c.tasks.Kill(c.call(), &taskapi.KillRequest{Id: c.id, Signal: uint32(s)}))
}

func (c *ctr) exits(want uint32) {
	c.Helper()
	r, err := c.tasks.Wait(c.call(), &taskapi.WaitRequest{Id: c.id})
	c.must(err)
	if r.GetExitStatus() != want {
		c.Errorf("%s exited with %d, want %d; stderr: %s", c.id, r.GetExitStatus(), want, c.stderr.string())
	}
}

func (c *ctr) delete() {
	c.Helper()
	_, err := c.tasks.Delete(c.call(), &taskapi.DeleteRequest{Id: c.id})
	c.must(err)
	c.stdout.end()
	c.stderr.end()
	c.removeBundle()
}

func (c *ctr) removeBundle() {
	c.Helper()
	c.must(os.RemoveAll(c.bundle))
}

func (c *ctr) end() {
	c.Helper()
	c.kill(syscall.SIGKILL)
	c.exits(137)
	c.delete()
}

// exec adds and starts a process.
func (c *ctr) exec(id string, terminal bool, args ...string) *ctr {
	c.Helper()
	e := &ctr{node: c.node, id: c.id, bundle: c.bundle}
	q := c.execRequest(e, id, terminal, args...)
	c.must(c.tasks.Exec(c.call(), q))
	_, err := c.tasks.Start(c.call(), &taskapi.StartRequest{Id: c.id, ExecId: id})
	c.must(err)
	return e
}

func (c *ctr) execRequest(e *ctr, id string, terminal bool, args ...string) *taskapi.ExecProcessRequest {
	c.Helper()
	p := c.spec(c.id, args...).Process
	p.Terminal = terminal
	b, err := json.Marshal(p)
	c.must(err)
	q := &taskapi.ExecProcessRequest{
		Id: c.id, ExecId: id, Terminal: terminal,
		Spec: &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", Value: b},
	}
	q.Stdin, q.Stdout, q.Stderr = e.fifos(id, terminal)
	return q
}

func (c *ctr) execExits(id string, want uint32) {
	c.Helper()
	r, err := c.tasks.Wait(c.call(), &taskapi.WaitRequest{Id: c.id, ExecId: id})
	c.must(err)
	if r.GetExitStatus() != want {
		c.Errorf("exec %s exited with %d, want %d", id, r.GetExitStatus(), want)
	}
	_, err = c.tasks.Delete(c.call(), &taskapi.DeleteRequest{Id: c.id, ExecId: id})
	c.must(err)
}
