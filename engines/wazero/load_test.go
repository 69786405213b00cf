package wazero

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/internal/artifact"

	"github.com/containerd/errdefs"
)

// manifestFile is what package artifact names the manifest.
const manifestFile = "wazero.json"

func empty() []byte {
	var m wasmgen.Module
	m.Command("_start", nil)
	return m.Bytes()
}

func compiled(t *testing.T, e *engine, module []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := e.Compile(t.Context(), module, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newEngine(t *testing.T) *engine { return open(t).(*engine) }

// TestLoadNeverCompiles takes the compiled code out of an artifact, as if it was
// made for another processor, and makes the rest look right.
func TestLoadNeverCompiles(t *testing.T) {
	e := newEngine(t)
	dir := compiled(t, e, empty())
	if err := os.RemoveAll(filepath.Join(dir, "wazero-"+version()+"-"+strings.Split(e.info.Settings, ",")[0]+"-linux")); err != nil {
		t.Fatal(err)
	}
	m, err := artifact.Read(dir, e.info)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if err := artifact.Write(dir, e.info, empty(), m.Shape); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Load(t.Context(), dir); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "compile the module again") {
		t.Errorf("the error is %v, want failed precondition with the remedy", err)
	}
	var left []string
	_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	})
	if want := []string{moduleFile, manifestFile}; !slices.Equal(left, want) {
		t.Errorf("the artifact has %v now, want %v: Load has compiled", left, want)
	}
}

func TestLoadOfAnotherBuildIsRefused(t *testing.T) {
	e := newEngine(t)
	dir := compiled(t, e, empty())
	for name, change := range map[string]func(*engines.Info){
		"Version":  func(i *engines.Info) { i.Version = "v99.0.0" },
		"Settings": func(i *engines.Info) { i.Settings += ",avx1024" },
	} {
		t.Run(name, func(t *testing.T) {
			other := newEngine(t)
			change(&other.info)
			if _, err := other.Load(t.Context(), dir); !errdefs.IsFailedPrecondition(err) {
				t.Errorf("the error is %v, want failed precondition", err)
			}
		})
	}
}

// TestCodeIsShared: however many load a module at once, its code is there once,
// and gone with the last of them.
func TestCodeIsShared(t *testing.T) {
	e := newEngine(t)
	first, second := compiled(t, e, empty()), compiled(t, e, empty())
	modules := make([]engines.Module, 16)
	var all sync.WaitGroup
	for i := range modules {
		all.Go(func() {
			var err error
			if modules[i], err = e.Load(t.Context(), []string{first, second}[i%2]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for _, m := range modules {
		if m.(*module).code != modules[0].(*module).code {
			t.Fatal("two modules of the same content have code of their own")
		}
	}
	for _, m := range modules {
		for range 2 { // closing twice gives back one reference
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if n := e.loaded.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestFailedLoadIsTriedAgain(t *testing.T) {
	e := newEngine(t)
	dir := compiled(t, e, empty())
	path := filepath.Join(dir, moduleFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Load(t.Context(), dir); !errdefs.IsDataLoss(err) {
		t.Errorf("the error is %v, want data loss", err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
