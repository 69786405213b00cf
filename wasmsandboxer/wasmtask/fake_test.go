package wasmtask

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// fakeHost answers like a daemon, with pipes for FIFOs.
type fakeHost struct {
	t      *testing.T
	rootfs string
	reply  hostapi.PrepareReply
	pty    bool
	fifo   string // the path of the FIFO that stdout is, if it is one
	// threads are the files of the container's group, which prepare and update send.
	threads func() []*os.File
	// update refuses an update.
	update func(hostapi.UpdateRequest) error

	mu             sync.Mutex // guards the fields below
	stdin          *os.File
	stdout, stderr *os.File
	master         *os.File
	reports        []hostapi.ReportRequest
	removed        []string
}

func (h *fakeHost) Call(_ context.Context, method string, body, reply any) ([]*os.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch method {
	case hostapi.MethodPrepare:
		r := h.reply
		files, roles := h.files()
		group, more := h.group()
		r.Roles = append(roles, more...)
		return append(files, group...), copyJSON(r, reply)
	case hostapi.MethodUpdate:
		if h.update != nil {
			if err := h.update(*body.(*hostapi.UpdateRequest)); err != nil {
				return nil, err
			}
		}
		files, roles := h.group()
		return files, copyJSON(hostapi.UpdateReply{Roles: roles}, reply)
	case hostapi.MethodExec:
		files, roles := h.files()
		return files, copyJSON(hostapi.ExecReply{Roles: roles, Module: h.reply.Module}, reply)
	case hostapi.MethodReport:
		h.reports = append(h.reports, *body.(*hostapi.ReportRequest))
		return nil, nil
	case hostapi.MethodRemove:
		h.removed = append(h.removed, body.(*hostapi.RemoveRequest).Container)
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %w", method, errdefs.ErrNotImplemented)
}

func copyJSON(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// group is the group of the container's threads, if it has one: files to enter it,
// then cpu.stat.
func (h *fakeHost) group() (files []*os.File, roles []string) {
	if h.threads == nil {
		return nil, nil
	}
	files = h.threads()
	for range files[1:] {
		roles = append(roles, hostapi.RoleThreads)
	}
	return files, append(roles, hostapi.RoleThrottling)
}

// files makes the stdio of one process; the test has the other ends.
func (h *fakeHost) files() (files []*os.File, roles []string) {
	h.t.Helper()
	add := func(role string, f *os.File) {
		roles, files = append(roles, role), append(files, f)
	}
	in, inW := h.pipe()
	outR, out := h.pipe()
	h.stdin, h.stdout = inW, outR
	if h.fifo != "" {
		out = h.open(unix.O_RDWR)
		add(hostapi.RoleStdoutEnd, h.open(unix.O_WRONLY))
	}
	add(hostapi.RoleStdin, in)
	add(hostapi.RoleStdout, out)
	if h.pty {
		m, s := openTerminal(h.t)
		h.master = m
		add(hostapi.RolePTY, m)
		add(hostapi.RoleTTY, s)
		return files, roles
	}
	errR, errs := h.pipe()
	h.stderr = errR
	add(hostapi.RoleStderr, errs)
	return files, roles
}

// open opens the FIFO that is stdout.
func (h *fakeHost) open(flags int) *os.File {
	h.t.Helper()
	f, err := os.OpenFile(h.fifo, flags|unix.O_NONBLOCK, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = f.Close() }) // closing twice is harmless
	return f
}

func (h *fakeHost) pipe() (r, w *os.File) {
	h.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	s, err := unix.Open(fmt.Sprint("/dev/pts/", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(m), "master"), os.NewFile(uintptr(s), "slave")
}

// read is everything that a process wrote, to the end.
func read(t *testing.T, f *os.File) string {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// readUntil reads until text has come.
func readUntil(t *testing.T, f *os.File, text string) {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 256)
	for len(got) < len(text) || string(got[len(got)-len(text):]) != text {
		n, err := f.Read(buf[:1])
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, buf[:n]...)
	}
}

// newHost is a host whose container runs args.
func newHost(t *testing.T, args ...string) *fakeHost {
	t.Helper()
	rootfs := t.TempDir()
	if err := os.Mkdir(filepath.Join(rootfs, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &fakeHost{t: t, rootfs: rootfs, reply: hostapi.PrepareReply{
		Module: hostapi.Module{Engine: "wazero", Artifact: artifact, Entry: "_start", Name: "/guest.wasm"},
		Args:   append([]string{"/guest.wasm"}, args...), Rootfs: rootfs, Preopens: []hostapi.Preopen{{Guest: "/"}},
	}}
}

// create makes the container; it is deleted with the test.
func create(t *testing.T, h *fakeHost) task.Container {
	t.Helper()
	r := New(h, registry(), hostapi.Hello{Pid: 4711})
	c, err := r.Create(t.Context(), &task.CreateRequest{ID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background()); err != nil {
			t.Error(err)
		}
		if len(r.modules.loaded) > 0 {
			t.Errorf("%d modules stay loaded", len(r.modules.loaded))
		}
	})
	return c
}

func start(t *testing.T, p task.Process) {
	t.Helper()
	if pid, err := p.Start(t.Context()); err != nil || pid != 4711 {
		t.Fatalf("pid %d, %v", pid, err)
	}
}

func wait(t *testing.T, p task.Process) uint32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e.Status
}

func kill(t *testing.T, p task.Process, s syscall.Signal) {
	t.Helper()
	if err := p.Kill(t.Context(), s, false); err != nil {
		t.Fatal(err)
	}
}

func execOf(t *testing.T, c task.Container, args ...string) task.Process {
	t.Helper()
	x, err := c.Exec(t.Context(), &task.ExecRequest{ID: "x", Process: &specs.Process{Args: append([]string{"/guest.wasm"}, args...)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return x
}

func (h *fakeHost) hello() hostapi.Hello { return hostapi.Hello{Pid: 4711} }

func hostPreopen(guest string) hostapi.Preopen { return hostapi.Preopen{Guest: guest} }
