package enginetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/wasip1"
	"blazar/internal/testdir"

	"golang.org/x/sys/unix"
)

func testArtifacts(t *testing.T, e engines.Engine) {
	t.Run("TwiceAtOnce", func(t *testing.T) {
		dir := compile(t, e, exiting(3))
		var modules [3]engines.Module
		for i := range modules {
			m, err := e.Load(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			modules[i] = m
		}
		for _, m := range modules {
			wantCode(t, newGuest(t, m, wasip1.Config{}, engines.Config{}).run(), 3)
			if err := m.Close(); err != nil {
				t.Errorf("close the module: %v", err)
			}
		}
	})
	t.Run("ReadOnly", func(t *testing.T) {
		dir := compile(t, e, exiting(4))
		readOnly(t, dir)
		m, err := e.Load(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, newGuest(t, m, wasip1.Config{}, engines.Config{}).run(), 4)
		if err := m.Close(); err != nil {
			t.Errorf("close the module: %v", err)
		}
	})
	t.Run("Empty", func(t *testing.T) {
		if _, err := e.Load(t.Context(), t.TempDir()); err == nil {
			t.Error("an empty directory was loaded")
		}
	})
	t.Run("Absent", func(t *testing.T) {
		if _, err := e.Load(t.Context(), filepath.Join(t.TempDir(), "absent")); err == nil {
			t.Error("a directory that is not there was loaded")
		}
	})
	t.Run("Damaged", func(t *testing.T) { testDamaged(t, e) })
}

// testDamaged damages every file of an artifact in several ways: each is refused
// when loaded, and the refusal says what to do.
func testDamaged(t *testing.T, e engines.Engine) {
	flip := func(at func(size int) int) func([]byte) []byte {
		return func(b []byte) []byte {
			if len(b) > 0 {
				b[at(len(b))] ^= 0xff
			}
			return b
		}
	}
	damages := map[string]func([]byte) []byte{
		"Start":  flip(func(int) int { return 0 }),
		"Header": flip(func(n int) int { return min(20, n-1) }),
		"Middle": flip(func(n int) int { return n / 2 }),
		"Cut":    func(b []byte) []byte { return b[:len(b)/2] },
		"Empty":  func([]byte) []byte { return nil },
		"Gone":   nil,
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			for i := range len(files(t, compile(t, e, spinning()))) {
				dir := compile(t, e, spinning())
				file := files(t, dir)[i]
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if damage == nil {
					err = os.Remove(file)
				} else {
					err = os.WriteFile(file, damage(b), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				m, err := e.Load(t.Context(), dir)
				if err == nil {
					t.Errorf("%s was damaged, and the artifact was loaded", file)
					_ = m.Close() // the test fails already
				} else if !strings.Contains(err.Error(), dir) {
					t.Errorf("the error does not name the artifact: %v", err)
				}
			}
		})
	}
}

func files(t testing.TB, dir string) []string {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readOnly makes dir a read-only mount until the test has ended.
func readOnly(t *testing.T, dir string) {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err == nil {
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Errorf("unmount %s: %v", dir, err)
			}
		})
		if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	} else if os.Geteuid() == 0 {
		t.Fatal(err)
	} else if err := os.Chmod(dir, 0o500); err != nil { // without root, permissions do
		t.Fatal(err)
	} else {
		t.Cleanup(func() { testdir.Writable(t, dir) })
	}
	if err := os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600); err == nil {
		t.Fatalf("%s can be written to", dir)
	}
}
