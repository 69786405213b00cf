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

// Of each spec that round counts which ran it.
func TestMerge(t *testing.T) {
	first := []spec{{LeafNodeText: "a", State: "passed"}, {LeafNodeText: "b", State: "skipped"}, {LeafNodeText: "c", State: "skipped"}}
	first[2].Failure.Message = "no such thing here"
	second := []spec{{LeafNodeText: "a", State: "skipped"}, {LeafNodeText: "b", State: "failed"}, {LeafNodeText: "c", State: "skipped"}}
	all := merge(merge(nil, first), second)
	if len(all) != 3 || all[0].State != "passed" || all[1].State != "failed" || all[2].Failure.Message == "" {
		t.Errorf("%v", all)
	}
}

func TestRounds(t *testing.T) {
	skips, err := readSkips("testdata/skip.txt")
	if err != nil {
		t.Fatal(err)
	}
	if r := rounds(options{handler: "blazar-runc"}, skips); len(r) != 1 || len(r[0].skip) != 2 || len(r[0].focus) != 0 {
		t.Errorf("%v", r)
	}
	if r := rounds(options{handler: "runc", skipped: true}, skips); len(r) != 1 || len(r[0].skip) != 0 || len(r[0].focus) != 2 {
		t.Errorf("%v", r)
	}
	r := rounds(options{handler: "blazar-wasm"}, skips)
	if len(r) != 1+len(webSpecs) || len(r[0].skip) != 2+len(webSpecs) {
		t.Errorf("%v", r)
	}
	for _, web := range r[1:] {
		if len(web.skip) != 2 || len(web.focus) != 1 {
			t.Errorf("%v", web)
		}
	}
}
