package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shim is the built binary.
var shim string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "shim")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shim = filepath.Join(dir, "containerd-shim-blazar-v1")
	code := 1
	if err := build(".", shim); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir) // a leftover in the temporary directory is no failure
	os.Exit(code)
}

// build compiles a package the way the product is built.
func build(pkg, out string) error {
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// call runs the shim in dir and returns what it printed.
func call(t *testing.T, dir string, stdin []byte, args ...string) (stdout []byte, stderr string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), shim, args...)
	c.Dir = dir
	c.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	return out.Bytes(), errs.String(), err
}

func TestActionsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"start", []string{"-namespace", "k8s.io", "-address", "/run/containerd/containerd.sock", "-publish-binary", "/usr/bin/containerd", "-id", "a", "start"}, "sandboxer"},
		{"no action", []string{"-id", "a"}, "unknown action"},
		{"unknown flag", []string{"-nonsense"}, "-nonsense"},
		{"id with slash", []string{"-id", "../a", "-bundle", "/tmp/a", "delete"}, "no container id"},
		{"dots", []string{"-id", "..", "-bundle", "/tmp/..", "delete"}, "no container id"},
		{"relative bundle", []string{"-id", "a", "-bundle", "tmp/a", "delete"}, "no absolute path"},
		{"foreign bundle", []string{"-id", "a", "-bundle", "/tmp", "delete"}, "not the bundle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, err := call(t, t.TempDir(), nil, c.args...)
			if err == nil {
				t.Fatal("succeeded")
			}
			if len(stdout) != 0 {
				t.Errorf("printed %q to stdout", stdout)
			}
			if !strings.Contains(stderr, c.want) {
				t.Errorf("stderr %q does not say %q", stderr, c.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"-v", "-version"} {
		stdout, _, err := call(t, t.TempDir(), nil, flag)
		if err != nil || !strings.Contains(string(stdout), "Version:  ") {
			t.Errorf("%s: %q, %v", flag, stdout, err)
		}
	}
}

// TestStaysSmall keeps package initialization, which is what a start costs, and
// the binary within what a start in about a millisecond allows.
func TestStaysSmall(t *testing.T) {
	const maxBytes = 2_500_000
	st, err := os.Stat(shim)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > maxBytes {
		t.Errorf("the binary has %d bytes, more than %d", st.Size(), maxBytes)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, bad := range []string{"net", "net/http", "encoding/json", "regexp", "google.golang.org/grpc", "google.golang.org/protobuf/proto", "github.com/"} {
			if dep == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(dep, bad) {
				t.Errorf("imports %s, which costs start time", dep)
			}
		}
	}
}

// BenchmarkStart compares a start of the shim with that of an empty Go program.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := build(filepath.Join(dir, "main.go"), empty); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
	}{{"empty", []string{empty}}, {"info", []string{shim, "-info"}}, {"delete", []string{shim, "-id", "a", "-bundle", dir + "/a", "delete"}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := exec.Command(c.args[0], c.args[1:]...).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
