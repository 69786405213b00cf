package artifact

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"blazar/engines"
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

var by = engines.Info{Name: "any", Version: "1", Settings: "a,b"}

func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"code": "native code", "sub/more": "more"} {
		if err := WriteFile(filepath.Join(dir, name), []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	shape := prepare.Shape{Funcs: map[string]wasmbin.FuncType{"f": {Results: []byte{wasmbin.I32}}}, Memory: true,
		Memories: []wasmbin.Limits{{Min: 1, Max: 2, Bounded: true}}}
	if err := Write(dir, by, []byte("module"), shape); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRead(t *testing.T) {
	dir := made(t)
	m, err := Read(dir, by)
	if err != nil {
		t.Fatal(err)
	}
	if f := m.Shape.Funcs["f"]; f.String() != "() -> (i32)" || !m.Shape.Memory || m.Shape.InitialMemory() != 64<<10 {
		t.Errorf("the shape came back as %+v", m.Shape)
	}
	if len(m.Digest) != 64 || len(m.Files) != 2 {
		t.Errorf("the manifest came back as %+v", m)
	}
	if err := m.Verify(dir); err != nil {
		t.Error(err)
	}
	if b, err := m.ReadFile(dir, "sub/more"); err != nil || string(b) != "more" {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := m.ReadFile(dir, "other"); !errdefs.IsDataLoss(err) {
		t.Errorf("a file that it does not list: %v", err)
	}
	again, err := Read(dir, by)
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Errorf("read twice, it differs: %+v, %+v, %v", m, again, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		by  engines.Info
		dir string
		is  func(error) bool
	}{
		"AnotherEngine":   {engines.Info{Name: "other", Version: "1", Settings: "a,b"}, made(t), errdefs.IsNotFound},
		"AnotherVersion":  {engines.Info{Name: "any", Version: "2", Settings: "a,b"}, made(t), errdefs.IsFailedPrecondition},
		"AnotherSettings": {engines.Info{Name: "any", Version: "1", Settings: "a"}, made(t), errdefs.IsFailedPrecondition},
		"NothingThere":    {by, t.TempDir(), errdefs.IsNotFound},
	} {
		if _, err := Read(c.dir, c.by); !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamage changes each byte of each file: none goes unseen.
func TestDamage(t *testing.T) {
	dir := made(t)
	for _, name := range []string{"code", "sub/more", "any.json"} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := Read(dir, by)
			if err == nil {
				err = m.Verify(dir)
			}
			if !errdefs.IsDataLoss(err) {
				t.Errorf("byte %d of %s changed: %v", i, name, err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTakenOver: what a cache does to an artifact, and a copy of it, are no damage.
func TestTakenOver(t *testing.T) {
	dir := made(t)
	m, err := Read(dir, by)
	if err != nil {
		t.Fatal(err)
	}
	for name := range m.Files {
		if err := os.Chmod(filepath.Join(dir, name), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	for name, f := range m.Files {
		if now, err := stat(filepath.Join(moved, name)); err != nil || now != f.identity {
			t.Errorf("%s was %+v and is %+v, %v", name, f.identity, now, err)
		}
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(moved)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{moved, copied} {
		if m, err = Read(dir, by); err == nil {
			err = m.Verify(dir)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := os.Rename(moved, dir); err != nil { // for the test to clean up
		t.Fatal(err)
	}
}

func TestFileOutside(t *testing.T) {
	m := &Manifest{Files: map[string]File{"../x": {}}}
	if err := m.Verify(t.TempDir()); !errdefs.IsDataLoss(err) {
		t.Errorf("got %v", err)
	}
	if _, err := m.ReadFile(t.TempDir(), "../x"); !errdefs.IsDataLoss(err) {
		t.Errorf("got %v", err)
	}
}
