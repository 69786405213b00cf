package main

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/report"
	"blazar/bench/internal/reporttest"
	"blazar/internal/node"
	"blazar/internal/testneeds"
)

// TestSmoke runs every benchmark once on a real node. It looks whether they measure
// and what is written, and at no time.
func TestSmoke(t *testing.T) {
	testneeds.Root(t)
	if err := node.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Chdir("..") // as make bench does
	c := &command{
		bin: "bin", tools: ".cache/bin", images: ".cache/images", wasmedge: ".cache/wasmedge/lib",
		peers: t.TempDir(), smoke: true,
	}
	o, err := c.options()
	if err != nil {
		t.Fatal(err)
	}
	o.Log = t.Output()
	l := lab.New(o)
	r, err := measure(t.Context(), l, benchmarks)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range r.Sections {
		if s.Name != benchmarks[i].Name() || s.Title == "" || s.About == "" || s.Took <= 0 || len(s.Tables) == 0 {
			t.Errorf("section %+v", s)
		}
		for _, table := range s.Tables {
			complete(t, s, table)
		}
	}
	if e := r.Environment; e.Kernel == "" || e.CPU == "" || e.Versions["containerd"] == "" || e.Versions["runc"] == "" || e.Versions["blazar"] == "" {
		t.Errorf("environment %+v", e)
	}
	for _, name := range []string{"coldstart/host/wasm:runc", "coldstart/host/wasm:floor", "podrate/60/wasm:floor"} {
		if !slices.ContainsFunc(r.Sections, func(s *report.Section) bool {
			return slices.ContainsFunc(s.Ratios, func(q report.Ratio) bool { return q.Name == name && q.Value > 0 })
		}) {
			t.Errorf("no ratio %s", name)
		}
	}
	dir := filepath.Join(t.TempDir(), "results")
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	reporttest.Check(t, dir, r)
}

// complete checks that every row was measured.
func complete(t *testing.T, s *report.Section, table *report.Table) {
	t.Helper()
	if len(table.Rows) == 0 || len(table.Columns) == 0 {
		t.Errorf("%s, table %s is empty", s.Name, table.Name)
	}
	for _, row := range table.Rows {
		if len(row.Samples) == 0 {
			t.Errorf("%s, table %s: nothing of %s", s.Name, table.Name, row.Label)
		}
		for _, c := range table.Columns {
			for _, v := range row.Samples[c.Name] {
				// The first byte may come before what it is counted from has returned.
				impossible := c.Unit == report.Nanoseconds && v < 0 || c.Unit == report.PerSecond && v <= 0
				if math.IsNaN(v) || math.IsInf(v, 0) || impossible {
					t.Errorf("%s, table %s, %s of %s: %v", s.Name, table.Name, c.Name, row.Label, v)
				}
			}
		}
	}
}

// TestBaseline checks the committed baseline: the ratios of a run that is said there
// are all measured.
func TestBaseline(t *testing.T) {
	b, err := report.ReadBaseline("baseline.json")
	if err != nil {
		t.Fatal(err)
	}
	c := &command{only: b.Only, contestants: b.Contestants, tables: b.Tables}
	if _, err := c.benchmarks(); err != nil {
		t.Error(err)
	}
	if _, err := c.options(); err != nil {
		t.Error(err)
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, c := range []*command{
		{contestants: []string{"nobody"}}, {n: -1}, {full: true, smoke: true},
	} {
		if o, err := c.options(); err == nil {
			t.Errorf("%+v: %+v", c, o)
		}
	}
	if b, err := (&command{only: []string{"nothing"}}).benchmarks(); err == nil {
		t.Errorf("%v", b)
	}
}
