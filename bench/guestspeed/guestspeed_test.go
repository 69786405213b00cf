package guestspeed

import (
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blazar/bench/internal/report"
)

func TestParse(t *testing.T) {
	if sum, err := parse("7\n7\n7\n", 3); err != nil || sum != "7" {
		t.Errorf("%q, %v", sum, err)
	}
	for _, bad := range []string{"", "7\n", "7\n7\n8\n", "x\nx\nx\n", "7\n7\n7\n7\n"} {
		if sum, err := parse(bad, 3); err == nil {
			t.Errorf("%q out of %q", sum, bad)
		}
	}
}

// The kernels compute what they are said to compute.
func TestKernels(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kernels")
	if out, err := exec.CommandContext(t.Context(), "gcc", "-O2", noErrno, "-Wall", "-Wextra", "-Werror", "kernels/kernels.c", "-o", program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := contestant{name: "native", argv: []string{program}}
	known := map[string]string{"sieve": "4775573496992", "fib": "39088169"}
	for _, k := range kernels {
		took, sum, err := c.sample(t.Context(), k, 1)
		if err != nil {
			t.Fatal(err)
		}
		if want := known[k]; want != "" && sum != want {
			t.Errorf("%s computes %s, want %s", k, sum, want)
		}
		if took < time.Millisecond || took > time.Minute {
			t.Errorf("%s takes %v", k, took)
		}
	}
	if _, err := c.run(t.Context(), "none", 1); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("an unknown kernel: %v", err)
	}
}

func TestRatios(t *testing.T) {
	table := &report.Table{Columns: []report.Column{report.Nanoseconds.Column("a"), report.Nanoseconds.Column("b")}}
	for row, v := range map[string][2]float64{
		clangNative: {100, 100}, "wasmtime": {200, 200}, plain: {400, 100}, plainEpochs: {400, 400},
	} {
		table.Add(row, "a", v[0])
		table.Add(row, "b", v[1])
	}
	want := map[string]float64{"guestspeed/wasmtime:native": 0.5, "guestspeed/wasmtime:command-line": 1, "guestspeed/epochs:none": 0.5}
	for _, r := range ratios(table) {
		if math.Abs(r.Value-want[r.Name]) > 1e-9 || !r.Higher {
			t.Errorf("%+v, want %v", r, want[r.Name])
		}
		delete(want, r.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
	table.Add(cli, "a", 100)
	table.Add(cli, "b", 100)
	for _, r := range ratios(table) {
		if r.Name == "guestspeed/wasmtime:command-line" && math.Abs(r.Value-0.5) > 1e-9 {
			t.Errorf("by the command line: %+v", r)
		}
	}
}
