package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/fifo"
	"github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/node"
)

// These tests are containerd's shimtest v0.3.0 (github.com/containerd/shimtest, Apache
// License 2.0), as far as it is about tasks, driven through containerd: CRI makes pod and
// container, and containerd's client makes and drives the task. Every kind passes the
// same, and so does containerd's own shim, which shows that the tests are right.

// taskKind is a runtime handler, Blazar's kind behind it if there is one, and an image with
// guest/task for it.
type taskKind struct{ name, handler, kind, image string }

var taskKinds = []taskKind{
	{"wasm", "blazar-wasm", node.Wasm, taskWasm},
	{"runc", node.RuncHandler, node.Runc, taskLinux},
	mixed,
	{"containerd", node.Handler, "", taskLinux},
}

// forTaskKinds runs a test for every kind, in a pod of its own.
func forTaskKinds(t *testing.T, test func(t *testing.T, k taskKind, p *pod)) {
	for _, k := range taskKinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k, startPodOf(t, k.handler))
		})
	}
}

// client connects to containerd, in CRI's namespace, until the test ends.
func client(t *testing.T) *containerd.Client {
	t.Helper()
	c, err := containerd.New(theNode.Containerd(), containerd.WithDefaultNamespace("k8s.io"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// stdio is a set of FIFOs. What comes out of them is kept.
type stdio struct {
	config cio.Config
	out    *captured
}

// captured is what was read of a FIFO.
type captured struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	ended  chan struct{} // closed when there is no writer any more
}

func (o *captured) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *captured) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.buffer.Bytes())
}

// all waits for the end of the output and returns it.
func (o *captured) all(t *testing.T) []byte {
	t.Helper()
	select {
	case <-o.ended:
	case <-time.After(patience):
		t.Fatalf("the output does not end after %d bytes", len(o.Bytes()))
	}
	return o.Bytes()
}

// makeStdio makes FIFOs where those of the container belong, and reads from those for
// output.
func makeStdio(t *testing.T, container string, stdin bool) *stdio {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(theNode.Dir, "state/io.containerd.grpc.v1.cri/containers", container, "io"), "test-")
	if err != nil {
		t.Fatal(err)
	}
	s := &stdio{
		config: cio.Config{Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr")},
		out:    &captured{ended: make(chan struct{})},
	}
	paths := []string{s.config.Stdout, s.config.Stderr}
	if stdin {
		s.config.Stdin = filepath.Join(dir, "stdin")
		paths = append(paths, s.config.Stdin)
	}
	for _, path := range paths {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func(path string) io.ReadCloser {
		// Waits for a writer in the first read, and sees the end of the last one.
		f, err := fifo.OpenFifo(context.WithoutCancel(t.Context()), path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	stdout, stderr := open(s.config.Stdout), open(s.config.Stderr)
	go func() {
		defer close(s.out.ended)
		_, _ = io.Copy(s.out, stdout)
	}()
	go func() { _, _ = io.Copy(os.Stderr, stderr) }()
	return s
}

// creator hands the FIFOs on as they are: who reads and writes them is our business.
func (s *stdio) creator(string) (cio.IO, error) {
	return cio.Load(cio.NewFIFOSet(s.config, nil))
}

// noIO is the creator of a process without any.
func noIO(string) (cio.IO, error) { return cio.Load(cio.NewFIFOSet(cio.Config{}, nil)) }

// input opens the FIFO for input.
func (s *stdio) input(t *testing.T) io.WriteCloser {
	t.Helper()
	f, err := fifo.OpenFifo(t.Context(), s.config.Stdin, syscall.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// makeTask has CRI make a container, and makes its task.
func makeTask(t *testing.T, k taskKind, p *pod, args ...string) (containerd.Task, *captured) {
	t.Helper()
	c := node.Container(fmt.Sprintf("c%d", time.Now().UnixNano()), k.image)
	c.Args = args
	id := p.create(t, c).ID
	io := makeStdio(t, id, false)
	task, err := newTask(t, k, p, id, io.creator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_, _ = task.Delete(ctx, containerd.WithProcessKill) // gone, mostly
	})
	return task, io.out
}

// newTask makes the task of a container that CRI has made.
func newTask(t *testing.T, k taskKind, p *pod, id string, io cio.Creator) (containerd.Task, error) {
	t.Helper()
	loaded, err := client(t).LoadContainer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var opts []containerd.NewTaskOpts
	if k.kind != "" {
		address, version, err := theNode.Endpoint(t.Context(), k.kind, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, containerd.WithTaskAPIEndpoint(address, version))
	}
	if k.kind == node.Runc { // as CRI does for the handler's runtime_path
		opts = append(opts, containerd.WithRuntimePath(filepath.Join(theNode.Dir, "bin", "containerd-shim-blazar-v1")))
	}
	return loaded.NewTask(t.Context(), io, opts...)
}

// startTask makes and starts a task whose output nobody wants.
func startTask(t *testing.T, k taskKind, p *pod, args ...string) containerd.Task {
	t.Helper()
	task, _ := makeTask(t, k, p, args...)
	if err := task.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return task
}

// execIn adds a process to a task, with stdin if it is asked for.
func execIn(t *testing.T, task containerd.Task, stdin bool, args ...string) (containerd.Process, *stdio) {
	t.Helper()
	io := makeStdio(t, task.ID(), stdin)
	return execProcess(t, task, io.creator, execSpec(t, task, args...)), io
}

// execSpec is the task's own command with other arguments.
func execSpec(t *testing.T, task containerd.Task, args ...string) *specs.Process {
	t.Helper()
	spec, err := task.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	process := *spec.Process
	process.Args = append([]string{process.Args[0]}, args...)
	return &process
}

func execProcess(t *testing.T, task containerd.Task, io cio.Creator, process *specs.Process) containerd.Process {
	t.Helper()
	exec, err := task.Exec(t.Context(), fmt.Sprintf("e%d", time.Now().UnixNano()), process, io)
	if err != nil {
		t.Fatal(err)
	}
	return exec
}

// waiting calls Wait before the process is started, so that no exit can be missed.
func waiting(t *testing.T, p containerd.Process) <-chan containerd.ExitStatus {
	t.Helper()
	exit, err := p.Wait(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

// startAndWait starts a process and returns its exit code.
func startAndWait(t *testing.T, p containerd.Process) uint32 {
	t.Helper()
	exit := waiting(t, p)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return exitCode(t, exit)
}

func exitCode(t *testing.T, exit <-chan containerd.ExitStatus) uint32 {
	t.Helper()
	select {
	case s := <-exit:
		if err := s.Error(); err != nil {
			t.Fatal(err)
		}
		return s.ExitCode()
	case <-time.After(patience):
		t.Fatal("the process does not end")
		return 0
	}
}
