package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"blazar/engines/enginetest/wasmgen"
	"blazar/internal/testdir"
	ociwasm "blazar/oci-wasm"

	"github.com/rogpeppe/go-internal/testscript"
)

// runGuest is the directory of the guest program, built once, and of the cache of
// its compiled code.
var runGuest struct {
	once sync.Once
	dir  string
	err  error
}

// guestDir builds the guest for this process's tests; the directory is removed
// with the test that comes first, which is the parent of those that share it.
func guestDir(t *testing.T) string {
	t.Helper()
	runGuest.once.Do(func() {
		if runGuest.dir, runGuest.err = os.MkdirTemp("", "blazar-run-test-"); runGuest.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(runGuest.dir, "guest.wasm"), "./testdata/guest")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			runGuest.err = fmt.Errorf("build the guest: %w\n%s", err, out)
		}
	})
	if runGuest.err != nil {
		t.Fatal(runGuest.err)
	}
	return runGuest.dir
}

// TestRun runs the scripts of `blazar run`, which document it, and what a script
// cannot do: signals and connections.
func TestRun(t *testing.T) {
	dir := guestDir(t)
	t.Cleanup(func() {
		if err := testdir.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	t.Run("Scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:   "testdata/run",
			Setup: func(e *testscript.Env) error { return setUpRun(e, dir) },
			Cmds:  map[string]func(*testscript.TestScript, bool, []string){"code": code},
		})
	})
	t.Run("Signals", func(t *testing.T) { testSignals(t, dir) })
	t.Run("Shutdown", func(t *testing.T) { testShutdown(t, dir) })
}

// setUpRun gives a script its modules and images.
func setUpRun(e *testscript.Env, dir string) error {
	guest, err := os.ReadFile(filepath.Join(dir, "guest.wasm"))
	if err != nil {
		return err
	}
	var trap wasmgen.Module
	boom := trap.Func("boom", nil, nil, nil, wasmgen.Unreachable)
	trap.Command("_start", nil, wasmgen.Call(boom))
	trap.ExportFunc("seven", trap.Func("", nil, []wasmgen.ValueType{wasmgen.I32}, nil, wasmgen.I32Const(7)))
	files := map[string][]byte{
		"guest.wasm":     guest,
		"trap.wasm":      trap.Bytes(),
		"truncated.wasm": guest[:1000],
		"component.wasm": []byte("\x00asm\x0d\x00\x01\x00"),
	}
	for name, o := range map[string]ociwasm.PackOptions{
		"linux.tar": {
			Shape: ociwasm.ShapeLinux, Path: "/app/guest.wasm", WorkingDir: "/app", Env: []string{"A=image", "B=image"},
			Entrypoint: []string{"guest.wasm"}, Cmd: []string{"pwd"}, Files: []ociwasm.File{{Path: "/app/greeting", Data: []byte("good day\n")}},
		},
		"layer.tar":    {Shape: ociwasm.ShapeLayer},
		"artifact.tar": {Shape: ociwasm.ShapeArtifact},
	} {
		if files[name], err = pack(guest, o); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), b, 0o644); err != nil {
			return err
		}
	}
	e.Setenv("XDG_CACHE_HOME", dir)
	return nil
}

// pack packs module into the tar of an image.
func pack(module []byte, o ociwasm.PackOptions) ([]byte, error) {
	o.Module = module
	p, err := ociwasm.Pack(o)
	if err != nil {
		return nil, err
	}
	var tar bytes.Buffer
	err = ociwasm.WriteTar(context.Background(), &tar, p, p.Manifest)
	return tar.Bytes(), err
}

// code is the script command `code N blazar …`: it runs the program and checks its
// exit code. Standard output and error can be looked at as after exec.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// process is a `blazar run` under test.
type process struct {
	*exec.Cmd
	out *lines
}

// lines collects a process's output and tells when a line has come.
type lines struct {
	mu   sync.Mutex // guards text and news
	text string
	news chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(b)
	close(l.news)
	l.news = make(chan struct{})
	return len(b), nil
}

func (l *lines) wait(t *testing.T, text string) {
	t.Helper()
	end := time.After(60 * time.Second)
	for {
		l.mu.Lock()
		all, news := l.text, l.news
		l.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-news:
		case <-end:
			t.Fatalf("%q does not come; the output is %q", text, all)
		}
	}
}

func startRun(t *testing.T, dir string, args ...string) process {
	t.Helper()
	p := process{exec.CommandContext(t.Context(), "blazar", append([]string{"run"}, args...)...), &lines{news: make(chan struct{})}}
	p.Env = append(os.Environ(), "XDG_CACHE_HOME="+dir)
	p.Dir, p.Stdout, p.Stderr = dir, p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.out.wait(t, "ready")
	return p
}

func (p process) ends(t *testing.T, code int) {
	t.Helper()
	_ = p.Wait() // what it says is in the exit code
	if got := p.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; the output is %q", got, code, p.out.text)
	}
}

func testSignals(t *testing.T, dir string) {
	for _, guest := range []string{"sleep", "spin"} {
		for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130, syscall.SIGHUP: 129} {
			t.Run(guest+"/"+sig.String(), func(t *testing.T) {
				p := startRun(t, dir, "guest.wasm", guest)
				if err := p.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				p.ends(t, code)
			})
		}
	}
}

// testShutdown: a guest that listens may finish what it is doing, unless it is told
// a second time.
func testShutdown(t *testing.T, dir string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("Once", func(t *testing.T) {
		p := startRun(t, dir, "--listen", "tcp:"+address, "--dir", ".:/", "guest.wasm", "serve", "4")
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != "hello from the guest\n" {
			t.Errorf("the guest answers %q, %v", buf[:n], err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.out.wait(t, "no longer listening")
		p.ends(t, 0)
		p.out.wait(t, "done")
	})
	t.Run("Twice", func(t *testing.T) {
		// This one accepts nothing, and so does not see its listener close.
		p := startRun(t, dir, "--listen", "tcp:"+address, "guest.wasm", "sleep")
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			c, err := net.Dial("tcp", address)
			if err != nil {
				break // the first signal has closed the listener
			}
			_ = c.Close() // it was still open
			if time.Now().After(end) {
				t.Fatal("the listener stays open")
			}
		}
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.ends(t, 143)
	})
}
