package ociwasm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"blazar/internal/idrange"
	"blazar/internal/testneeds"
)

func moduleFile(t *testing.T) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(name, module, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func outDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cache", "out")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExecCompilerCompiles(t *testing.T) {
	dir := outDir(t)
	if err := execCompiler(CompileLimits{}).Compile(t.Context(), "good", moduleFile(t), dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "code"))
	if err != nil || string(got) != "compiled:"+string(module) {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestExecCompilerReportsFailures(t *testing.T) {
	small := CompileLimits{CPU: time.Second, Wall: 20 * time.Second, Output: 1 << 20}
	lean := small
	lean.Memory = 512 << 20
	impatient := small
	impatient.Wall = 300 * time.Millisecond
	for engine, c := range map[string]struct {
		limits CompileLimits
		kind   error
		limit  string
		phrase string
	}{
		"invalid":     {small, errdefs.ErrInvalidArgument, "", "bad opcode"},
		"unsupported": {small, errdefs.ErrNotImplemented, "", "no threads"},
		"crash":       {small, errdefs.ErrInternal, "", "panic: engine bug"},
		"hang":        {impatient, errdefs.ErrResourceExhausted, "time", "300ms time"},
		"spin":        {small, errdefs.ErrResourceExhausted, "CPU time", "1s CPU time"},
		"eat":         {lean, errdefs.ErrResourceExhausted, "memory", "512 MiB memory"},
		"flood":       {small, errdefs.ErrResourceExhausted, "output size", "1 MiB output size"},
	} {
		t.Run(engine, func(t *testing.T) {
			start := time.Now()
			err := execCompiler(c.limits).Compile(t.Context(), engine, moduleFile(t), outDir(t))
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.phrase) {
				t.Fatalf("got %v", err)
			}
			var l *LimitError
			if errors.As(err, &l) != (c.limit != "") || l != nil && l.Limit != c.limit {
				t.Fatalf("got %+v: %v", l, err)
			}
			if len(err.Error()) > 2*maxStderr || time.Since(start) > 15*time.Second {
				t.Fatalf("%d bytes of error after %v", len(err.Error()), time.Since(start))
			}
		})
	}
}

func TestExecCompilerIsCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, context.Canceled)
	defer cancel()
	start := time.Now()
	err := execCompiler(CompileLimits{}).Compile(ctx, "hang", moduleFile(t), outDir(t))
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Fatalf("got %v after %v", err, time.Since(start))
	}
}

func TestExecCompilerMissingBinary(t *testing.T) {
	err := (&ExecCompiler{Binary: "/nonexistent/blazar"}).Compile(t.Context(), "good", moduleFile(t), outDir(t))
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/blazar") {
		t.Fatalf("got %v", err)
	}
}

// TestCompilerIsConfined asks the child itself what it can reach.
func TestCompilerIsConfined(t *testing.T) {
	testneeds.Root(t)
	dir := outDir(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "neighbour"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := execCompiler(CompileLimits{}).Compile(t.Context(), "look", moduleFile(t), dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "report"))
	if err != nil {
		t.Fatal(err)
	}
	report := string(data)
	var uid, gid, pid int
	if _, err := fmt.Sscanf(report, "uid %d gid %d pid %d\n", &uid, &gid, &pid); err != nil || pid != 1 ||
		uid != gid || uid < CompileUID || uid >= CompileUID+CompileUIDs {
		t.Errorf("uid %d, gid %d, pid %d, %v", uid, gid, pid, err)
	}
	if last := idrange.DefaultLast + idrange.Size - 1; CompileUID <= last || CompileUID+CompileUIDs-1 > math.MaxInt32 {
		t.Errorf("users from %d on: pods have those to %d", CompileUID, last)
	}
	for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "Groups:\t \n"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, bad := range []string{"READ ", "LISTED "} {
		if strings.Contains(report, bad) {
			t.Errorf("found %q", bad)
		}
	}
	if n := strings.Count(report, "FD "); n > 10 { // 0 to 4, the runtime's poller and cgroup files, the listing itself
		t.Errorf("%d descriptors", n)
	}
	if t.Failed() {
		t.Log(report)
	}
}

// Compilers that run at the same time cannot reach one another, though they see each
// other's processes: the code that one makes is somebody else's.
func TestCompilersAreApart(t *testing.T) {
	testneeds.Root(t)
	ctx, cancel := context.WithCancel(t.Context())
	victim := make(chan error, 1)
	go func() { victim <- execCompiler(CompileLimits{}).Compile(ctx, "hang", moduleFile(t), outDir(t)) }()
	dir := outDir(t)
	err := execCompiler(CompileLimits{}).Compile(ctx, "pry", moduleFile(t), dir)
	cancel()
	if err := <-victim; err == nil {
		t.Error("a compiler that hangs has ended by itself")
	}
	if err != nil {
		t.Fatal(err)
	}
	report, err := os.ReadFile(filepath.Join(dir, "report"))
	if err != nil || !strings.Contains(string(report), "SEEN ") || strings.Contains(string(report), "OPENED ") {
		t.Errorf("%s %v", report, err)
	}
}

// TestCompilerEndsWithParent closes the pipe that stands for the parent's life.
func TestCompilerEndsWithParent(t *testing.T) {
	x := execCompiler(CompileLimits{})
	cmd := x.command(t.Context(), "hang", CompileLimits{}.defaults(), 0)
	out, err := os.Open(outDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.ExtraFiles = []*os.File{moduleFile(t), out}
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := life.Close(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("got %v, %v", cmd.ProcessState, err)
	}
}
