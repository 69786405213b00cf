package growhook

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// growing exports grow(n) = memory.grow n, with the given memory section body.
func growing(memory string) []byte {
	return []byte(header +
		"\x01\x06\x01\x60\x01\x7f\x01\x7f" + // type (i32) -> i32
		"\x03\x02\x01\x00" + // function
		"\x05" + string(rune(len(memory))) + memory +
		"\x07\x08\x01\x04grow\x00\x00" + // export
		"\x0a\x08\x01\x06\x00\x20\x00\x40\x00\x0b") // code
}

// instantiate runs a module under a ceiling of pages.
func instantiate(t *testing.T, module []byte, pages uint32) api.Module {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(pages))
	t.Cleanup(func() {
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	m, err := r.Instantiate(t.Context(), module)
	if err != nil {
		t.Fatalf("the rewritten module does not instantiate: %v", err)
	}
	return m
}

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		name, memory string
		ceiling      uint32
		grow         uint64
		want         int32
		over         bool
	}{
		{"granted", "\x01\x00\x01", 10, 4, 1, false},
		{"over the ceiling", "\x01\x00\x01", 10, 10, 0, true},
		{"over its own maximum", "\x01\x01\x01\x05", 10, 5, -1, false},
		{"exactly its own maximum", "\x01\x01\x01\x05", 10, 4, 1, false},
		{"far over everything", "\x01\x00\x01", 10, 0xffffffff, -1, false},
		{"by nothing", "\x01\x00\x01", 10, 0, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, n, err := Instrument(growing(c.memory))
			if err != nil || n != 1 {
				t.Fatalf("n = %d, err = %v", n, err)
			}
			m := instantiate(t, out, c.ceiling)
			got, err := m.ExportedFunction("grow").Call(t.Context(), c.grow)
			over := m.ExportedGlobal(Global).Get() == 1
			if over != c.over || (err != nil) != c.over {
				t.Fatalf("over = %v, err = %v; want over = %v", over, err, c.over)
			}
			if err == nil && int32(got[0]) != c.want {
				t.Errorf("memory.grow = %d, want %d", int32(got[0]), c.want)
			}
		})
	}
}

// TestRealGuest rewrites a Go program, which holds most instructions there are, and
// runs it.
func TestRealGuest(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, []byte("package main\nfunc main() { s := 0; for i := range 1<<20 { b := make([]byte, 64); s += len(b) + i }; if s == 0 { panic(s) }; println(\"done\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wasm := filepath.Join(dir, "main.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", wasm, src)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	b, err := os.ReadFile(wasm)
	if err != nil {
		t.Fatal(err)
	}
	out, n, err := Instrument(b)
	if err != nil || n == 0 {
		t.Fatalf("n = %d, err = %v", n, err)
	}
	r := wazero.NewRuntime(t.Context())
	defer func() {
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	m, err := r.Instantiate(t.Context(), out)
	if err != nil {
		t.Fatalf("the rewritten guest fails: %v", err)
	}
	if v := m.ExportedGlobal(Global).Get(); v != 0 {
		t.Errorf("%s = %d in a guest within its limits", Global, v)
	}
}

func TestLeftAlone(t *testing.T) {
	for name, b := range map[string]string{
		"no memory":    header,
		"never grows":  header + "\x05\x03\x01\x00\x01",
		"custom bytes": header + "\x00\x03\x01aX",
	} {
		out, n, err := Instrument([]byte(b))
		if err != nil || n != 0 || string(out) != b {
			t.Errorf("%s: n = %d, err = %v, changed = %v", name, n, err, string(out) != b)
		}
	}
}

func FuzzInstrument(f *testing.F) {
	f.Add([]byte(header))
	f.Add(growing("\x01\x00\x01"))
	f.Add(growing("\x01\x01\x01\x05"))
	f.Add([]byte(header + "\x0a\x08\x01\x06\x00\x20\x00\xfd\x0c\x0b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, n, err := Instrument(b)
		if err != nil {
			return
		}
		if n == 0 {
			return
		}
		// The hook itself holds the one memory.grow that is left.
		if _, again, err := Instrument(out); err != nil || again != 1 {
			t.Fatalf("rewriting the result: n = %d, err = %v", again, err)
		}
	})
}
