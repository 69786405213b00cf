package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSkips(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "skip.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	skips, err := readSkips(write("# comment\n\nport (forward|mapping)  # has no ports\n"))
	if err != nil || len(skips) != 1 || skips[0].reason != "has no ports" || !skips[0].re.MatchString("a port mapping") {
		t.Errorf("%v, %v", skips, err)
	}
	for _, bad := range []string{"port mapping\n", "port mapping # \n", "port ( # it has none\n"} {
		if _, err := readSkips(write(bad)); err == nil {
			t.Errorf("%q is a list", bad)
		}
	}
}

// The lists of the tree can be read.
func TestSkipLists(t *testing.T) {
	for _, handler := range []string{"blazar-runc", "blazar-wasm"} {
		if _, err := readSkips(skipList(handler)); err != nil {
			t.Error(err)
		}
	}
}

func TestJudge(t *testing.T) {
	skips, err := readSkips("testdata/skip.txt")
	if err != nil {
		t.Fatal(err)
	}
	specs, err := readReport("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(specs) != 4 {
		t.Fatalf("%d specs: %v", len(specs), specs)
	}
	err = judge(io.Discard, specs, skips)
	for _, want := range []string{"failed: [k8s.io] Container runtime should stop", "panicked: [k8s.io] Container runtime should log", "names no spec: no such spec"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	var out strings.Builder
	passed := specs[:0:0]
	for _, s := range specs {
		if s.State == "passed" || s.State == "skipped" {
			passed = append(passed, s)
		}
	}
	if err := judge(&out, passed, skips[:1]); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "2 specs: 1 passed, 1 skipped (0 by themselves)") {
		t.Error(out.String())
	}
	if err := judge(io.Discard, passed, nil); err != nil {
		t.Error("a spec may skip itself:", err)
	}
	if err := judge(io.Discard, nil, nil); err == nil {
		t.Error("nothing has passed, and all is well")
	}
}
