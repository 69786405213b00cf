// Package examples tests what the recipes make: every image runs, in every shape it
// comes in, and does what its README says.
package examples

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"blazar/examples/wasm-images/recipe"
	"blazar/internal/testdir"
)

var (
	blazar string // the command
	images string // where everything was built
	cache  string // of compiled modules
)

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "examples-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, testdir.RemoveAll(dir)) }()
	blazar, images, cache = filepath.Join(dir, "blazar"), filepath.Join(dir, "images"), filepath.Join(dir, "cache")
	if err := os.Mkdir(images, 0o755); err != nil {
		return 1, err
	}
	if out, err := exec.Command("go", "build", "-o", blazar, "blazar/cmd/blazar").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building blazar: %w\n%s", err, out)
	}
	all, err := recipe.LoadAll(".")
	if err != nil {
		return 1, err
	}
	for _, r := range all {
		if _, err := r.Build(context.Background(), images); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// result is how a run ended.
type result struct {
	code           int
	stdout, stderr string
}

// command is `blazar run flags… IMAGE.tar args…`, with # behind the image kept.
func command(ctx context.Context, flags []string, image string, args ...string) *exec.Cmd {
	argv := append([]string{"run", "--cache", cache}, flags...)
	argv = append(append(argv, filepath.Join(images, image)), args...)
	cmd := exec.CommandContext(ctx, blazar, argv...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func run(t *testing.T, stdin string, flags []string, image string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(ctx, flags, image, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out.String(), errs.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestEveryShapeRuns(t *testing.T) {
	for _, image := range []string{"hello-c.tar", "hello-c-b.tar", "hello-c-c.tar", "hello-c-d.tar", "hello-c.wasm"} {
		if r := run(t, "", nil, image, "you"); r.code != 0 || r.stdout != "hello from C and WebAssembly\nargument: you\n" {
			t.Errorf("%s: %+v", image, r)
		}
	}
	if r := run(t, "", nil, "hello-go.tar", "you"); r.code != 0 || r.stdout != "hello from Go, wasip1/wasm\nargument 1: you\n" {
		t.Errorf("%+v", r)
	}
	if info, err := os.Stat(filepath.Join(images, "hello-c.wasm")); err != nil || info.Size() > 20<<10 {
		t.Errorf("hello-c has %d bytes, %v", info.Size(), err)
	}
}

func TestToolbox(t *testing.T) {
	for name, c := range map[string]struct {
		image  string
		stdin  string
		args   []string
		code   int
		stdout string
	}{
		"default":           {image: "toolbox.tar", stdout: "use me with arguments\n"},
		"default of B":      {image: "toolbox-b.tar", stdout: "use me with arguments\n"},
		"default of C":      {image: "toolbox-c.tar", stdout: "use me with arguments\n"},
		"D":                 {image: "toolbox-d.tar", args: []string{"args", "a b", "c"}, stdout: "a b\nc\n"},
		"stdin":             {image: "toolbox.tar", args: []string{"cat"}, stdin: "through", stdout: "through"},
		"exit":              {image: "toolbox.tar", args: []string{"exit", "42"}, code: 42},
		"env of the image":  {image: "toolbox.tar", args: []string{"env", "TOOLBOX"}, stdout: "from the image\n"},
		"working directory": {image: "toolbox.tar", args: []string{"pwd"}, stdout: "/work\n"},
		"unknown":           {image: "toolbox.tar", args: []string{"nonsense"}, code: 127},
		"export":            {image: "toolbox.wasm#healthy", stdout: "healthy\n"},
		"failing export":    {image: "toolbox.wasm#unhealthy", code: 3},
		"export of no type": {image: "toolbox.wasm#greet", stdout: "hello from another entry\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := run(t, c.stdin, nil, c.image, c.args...); r.code != c.code || r.stdout != c.stdout {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func TestTraps(t *testing.T) {
	for kind, says := range map[string]string{
		"unreachable": "unreachable in unreachable", "memory": "out of bounds memory access", "divide": "integer divide by zero in divide",
		"overflow": "integer overflow", "table": "undefined element", "null": "element", "signature": "indirect call type mismatch",
		"conversion": "invalid conversion to integer", "stack": "call stack exhausted",
	} {
		r := run(t, "", nil, "trap.tar", kind)
		if r.code != 134 || !strings.Contains(r.stderr, "wasm trap: ") || !strings.Contains(r.stderr, says) || r.stdout != "trap: "+kind+"\n" {
			t.Errorf("%s: %+v", kind, r)
		}
	}
	if r := run(t, "", nil, "trap.tar"); r.code != 134 || !strings.Contains(r.stderr, "unreachable") {
		t.Errorf("%+v", r)
	}
}

func TestCPU(t *testing.T) {
	if r := run(t, "", nil, "cpu.tar", "1000000"); r.code != 0 || r.stdout != "78498 primes below 1000000\n" {
		t.Fatalf("%+v", r)
	}
}

func TestLeak(t *testing.T) {
	if r := run(t, "", []string{"--memory", "64MiB"}, "leak.tar"); r.code != 137 || !strings.HasPrefix(r.stdout, "16 MiB\n32 MiB\n48 MiB\n") || strings.Contains(r.stdout, "64 MiB") {
		t.Fatalf("%+v", r)
	}
	if r := run(t, "", []string{"--memory", "64MiB"}, "leak.tar", "32"); r.code != 0 || !strings.HasSuffix(r.stdout, "took all 32 MiB\n") {
		t.Fatalf("%+v", r)
	}
}

func TestStubborn(t *testing.T) {
	for _, how := range []string{"spin", "sleep", "read"} {
		start := time.Now()
		r := run(t, "", []string{"--timeout", "500ms"}, "stubborn.tar", how)
		if r.code != 124 || r.stdout != how+" for ever\n" || time.Since(start) > 10*time.Second {
			t.Errorf("%s: %+v after %v", how, r, time.Since(start))
		}
	}
}

func TestVolumes(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "a.txt"), []byte("contents\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", []string{"--dir", in + ":/in:ro", "--dir", out + ":/out"}, "volumes.tar")
	if r.code != 0 || !strings.Contains(r.stdout, "copied /in/a.txt to /out/a.txt, 9 bytes\n/in cannot be written: Read-only file system\n") {
		t.Fatalf("%+v", r)
	}
	if got, err := os.ReadFile(filepath.Join(out, "a.txt")); err != nil || string(got) != "contents\n" {
		t.Fatalf("%q, %v", got, err)
	}
	if r := run(t, "", []string{"--dir", in + ":/in", "--dir", out + ":/out"}, "volumes.tar"); r.code != 0 || !strings.HasSuffix(r.stdout, "/in can be written\n") {
		t.Fatalf("%+v", r)
	}
}

func TestPair(t *testing.T) {
	shared := t.TempDir()
	reader := make(chan result, 1)
	go func() { reader <- run(t, "", []string{"--dir", shared + ":/shared:ro"}, "pair.tar", "read") }()
	w := run(t, "", []string{"--dir", shared + ":/shared"}, "pair.tar", "write", "/shared/lines", "3")
	r := <-reader
	if w.code != 0 || w.stdout != "wrote 3 lines\n" || r.code != 0 || r.stdout != "read: line 1 of 3\nread: line 2 of 3\nread: line 3 of 3\ndone\n" {
		t.Fatalf("%+v %+v", w, r)
	}
}

func TestHTTP(t *testing.T) {
	for image, says := range map[string]string{"http.tar": "hello from C, you asked for /x", "http-go.tar": "hello from Go, you asked for /x"} {
		t.Run(image, func(t *testing.T) {
			port := freePort(t)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := command(ctx, []string{"--listen", "tcp:127.0.0.1:" + port}, image)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for range 3 {
				if body := get(ctx, t, "http://127.0.0.1:"+port+"/x", ended); !strings.HasPrefix(body, says) {
					t.Errorf("got %q", body)
				}
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil || !strings.HasSuffix(out.String(), "bye\n") {
				t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
			}
		})
	}
	if r := run(t, "", nil, "http.tar"); r.code != 1 || !strings.Contains(r.stderr, "blazar/listen") {
		t.Errorf("without a listener: %+v", r)
	}
}

// get asks until the server is there.
func get(ctx context.Context, t *testing.T, url string, ended <-chan error) string {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			body, err := io.ReadAll(response.Body)
			if err = errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
