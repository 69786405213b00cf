package wasip1

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// suiteEnv names the public WASI test suite, unpacked or as .tar.gz.
const suiteEnv = "WASI_TESTSUITE"

// suiteCases is how many preview 1 cases the suite has.
const suiteCases = 72

// TestSuite runs every preview 1 case of WebAssembly/wasi-testsuite over the
// layer, as the suite's doc/specification.md describes. Without the suite there
// is nothing to run; the repository's own runner decides whether that is allowed.
func TestSuite(t *testing.T) {
	where := os.Getenv(suiteEnv)
	if where == "" {
		t.Logf("%s is not set: the public suite is not part of this run", suiteEnv)
		return
	}
	dir := t.TempDir()
	if err := unpackSuite(where, dir); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob(filepath.Join(dir, "tests", "*", "testsuite", "wasm32-wasip1", "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) != suiteCases {
		t.Errorf("%d cases in %s, want %d", len(modules), where, suiteCases)
	}
	for _, m := range modules {
		name := strings.TrimSuffix(filepath.Base(m), ".wasm")
		t.Run(name, func(t *testing.T) { runCase(t, m) })
	}
}

type suiteCase struct {
	Args     []string          `json:"args"`
	Root     string            `json:"root"`
	Env      map[string]string `json:"env"`
	ExitCode uint32            `json:"exit_code"`
	// Output that a case does not mention is not looked at.
	Stderr *string `json:"stderr"`
	Stdout *string `json:"stdout"`
}

func runCase(t *testing.T, module string) {
	var c suiteCase
	b, err := os.ReadFile(strings.TrimSuffix(module, ".wasm") + ".json")
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	code, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Args: append([]string{filepath.Base(module)}, c.Args...)}
	for k, v := range c.Env {
		config.Env = append(config.Env, k+"="+v)
	}
	out := [2]string{filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "err")}
	config.Stdin = openFile(t, os.DevNull, os.O_RDONLY)
	config.Stdout = openFile(t, out[0], os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	config.Stderr = openFile(t, out[1], os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	if c.Root != "" {
		config.Preopens = []Preopen{{Guest: "/", Dir: openFile(t, filepath.Join(filepath.Dir(module), c.Root), os.O_RDONLY)}}
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	exit, err := runGuest(t, s, code)
	if cerr := s.Close(); cerr != nil {
		t.Error(cerr)
	}
	stdout, stderr := readFile(t, out[0]), readFile(t, out[1])
	if err != nil {
		t.Errorf("the guest failed: %v", err)
	}
	if exit != c.ExitCode {
		t.Errorf("exit code %d, want %d; stdout %q, stderr %q", exit, c.ExitCode, stdout, stderr)
	}
	if c.Stdout != nil && stdout != *c.Stdout {
		t.Errorf("stdout %q, want %q", stdout, *c.Stdout)
	}
	if c.Stderr != nil && stderr != *c.Stderr {
		t.Errorf("stderr %q, want %q", stderr, *c.Stderr)
	}
}

// unpackSuite copies the suite to dir, since the cases write to it.
func unpackSuite(where, dir string) error {
	if info, err := os.Stat(where); err != nil {
		return err
	} else if info.IsDir() {
		return os.CopyFS(dir, os.DirFS(where))
	}
	f, err := os.Open(where)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackEntry(root, h, r); err != nil {
			return err
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return root.WriteFile(name, b, 0o644)
	}
	return nil
}

func openFile(t *testing.T, name string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flags, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
