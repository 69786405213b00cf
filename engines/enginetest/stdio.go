package enginetest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/wasip1"
)

func testStdio(t *testing.T, e engines.Engine) {
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	errR, errW := pipe(t)
	g := newGuest(t, load(t, e, echoing()), wasip1.Config{Stdin: inR, Stdout: outW, Stderr: errW}, engines.Config{})
	stdout, stderr := collect(outR), collect(errR)
	text := strings.Repeat("0123456789abcdef", 20_000) // more than a pipe holds
	go func() {
		_, _ = fmt.Fprint(inW, text) // a guest that ended early shows in what it wrote
		_ = inW.Close()
	}()
	wantCode(t, g.run(), 0)
	if got := stdout(); got != text {
		t.Errorf("stdout has %d bytes, want the %d of stdin", len(got), len(text))
	}
	if got := stderr(); got != "done\n" {
		t.Errorf("stderr is %q", got)
	}
}

//go:embed testdata/guest/main.go
var guestSource []byte

// goGuest builds the Go program of testdata for wasip1.
func goGuest(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"main.go": guestSource, "go.mod": []byte("module guest\n\ngo 1.26\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", "guest.wasm", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the Go guest: %v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "guest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testGoProgram(t *testing.T, e engines.Engine) {
	m := load(t, e, goGuest(t))
	t.Run("Echo", func(t *testing.T) {
		inR, inW := pipe(t)
		outR, outW := pipe(t)
		errR, errW := pipe(t)
		g := newGuest(t, m, wasip1.Config{
			Args: []string{"guest", "echo", "a b", ""}, Env: []string{"A=1", "B="},
			Stdin: inR, Stdout: outW, Stderr: errW,
		}, engines.Config{})
		stdout, stderr := collect(outR), collect(errR)
		if _, err := fmt.Fprint(inW, "one\ntwo\n"); err != nil {
			t.Fatal(err)
		}
		if err := inW.Close(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, g.run(), 7)
		if got, want := stdout(), "[\"a b\" \"\"] [\"A=1\" \"B=\"]\nONE\nTWO\n"; got != want {
			t.Errorf("stdout is %q, want %q", got, want)
		}
		if got := stderr(); got != "bye\n" {
			t.Errorf("stderr is %q", got)
		}
	})
	for _, mode := range []string{"spin", "sleep"} {
		t.Run("Kill/"+mode, func(t *testing.T) {
			killReady(t, m, wasip1.Config{Args: []string{"guest", mode}})
		})
	}
	t.Run("MemoryLimit", func(t *testing.T) {
		g := newGuest(t, m, wasip1.Config{Args: []string{"guest", "leak"}}, engines.Config{MemoryLimit: 64 << 20})
		if exit := g.run(); !exit.OOM {
			t.Errorf("the guest ended with %s, want OOM", describe(exit))
		}
	})
}
