package wasitestsuite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blazar/internal/testdir"
)

// TestSuite runs the suite and prints a table. BLAZAR names a binary to run
// instead of one built from this tree.
func TestSuite(t *testing.T) {
	dir, err := Find(moduleRoot(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if dir == "" {
		t.Logf("the WASI test suite is not present: set WASI_TESTSUITE to its directory or .tar.gz, or put it at ../%s", Tarball)
		return
	}
	all, err := Cases(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < Size {
		t.Errorf("%d cases, the suite has %d", len(all), Size)
	}
	r := Runner{Blazar: blazar(t), Flags: []string{"--cache", filepath.Join(testdir.New(t), "cache")}, Scratch: t.TempDir()}
	var table strings.Builder
	passed := 0
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			begin := time.Now()
			err := r.Run(t.Context(), c)
			word := "ok  "
			if err != nil {
				word = "FAIL"
				t.Error(err)
			} else {
				passed++
			}
			table.WriteString(word + "  " + c.Name + "  " + time.Since(begin).Round(time.Millisecond).String() + "\n")
		})
	}
	t.Logf("%d of %d cases pass\n%s", passed, len(all), table.String())
}

// moduleRoot is the directory of go.mod.
func moduleRoot(t *testing.T) string {
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// blazar is the binary that runs the cases.
func blazar(t *testing.T) string {
	if path := os.Getenv("BLAZAR"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "blazar")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "blazar/cmd/blazar").CombinedOutput(); err != nil {
		t.Fatalf("build blazar: %v\n%s", err, out)
	}
	return path
}
