// Package guestspeed measures how fast guests compute.
package guestspeed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/report"
)

// Benchmark is the measurement.
type Benchmark struct{}

var _ lab.Benchmark = Benchmark{}

// Name implements lab.Benchmark.
func (Benchmark) Name() string { return "guestspeed" }

const about = `How fast do guests compute? One C source (kernels.c) is built for wasm and for this machine, with -O2 both times: SHA-256, a sieve, gravity between five bodies, a product of matrices, the C library's qsort, and recursive calls. A sample is CPU time: that of a process that runs the kernel a few times more than another one, divided by how many more, so that neither start nor compilation count, nor who else is busy on the machine. What is computed must be the same everywhere.

Guests run with "blazar run": the engines, with their settings, that pods have; every guest could be killed at any moment. "wasmtime library as its command line" is a program that uses the very Wasmtime that Blazar links with the settings of its command line, Wasmtime's own memories and WASI, and nothing that could end a guest; "with epochs" it could. Native code may use the vector unit, which the guests are not compiled for.`

// kernels of kernels.c.
var kernels = []string{"sha256", "sieve", "nbody", "matrix", "sort", "fib"}

// Run implements lab.Benchmark.
func (b Benchmark) Run(ctx context.Context, l *lab.Lab) (_ *report.Section, err error) {
	dir, err := os.MkdirTemp("", "guestspeed-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	all, notes, err := build(ctx, l, dir)
	if err != nil {
		return nil, err
	}
	t := &report.Table{Name: "kernels", Title: "CPU time of kernels", Reference: clangNative}
	for _, k := range kernels {
		t.Columns = append(t.Columns, report.Nanoseconds.Column(k))
	}
	if err := measure(ctx, l, t, all); err != nil {
		return nil, err
	}
	return &report.Section{
		Name: b.Name(), Title: "Speed of guests", About: about, Notes: notes,
		Tables: []*report.Table{t}, Figures: []*report.Figure{figure(t)}, Ratios: ratios(t),
	}, nil
}

// measure runs every kernel everywhere, in rounds, in an order that changes.
func measure(ctx context.Context, l *lab.Lab, t *report.Table, all []contestant) error {
	random := rand.New(rand.NewPCG(1, 2))
	count := lab.Pick(l.Effort, 1, 2, 5)
	for _, c := range all {
		t.Row(c.name) // in this order, whoever comes first
	}
	for _, k := range kernels {
		l.Say("guestspeed: %s", k)
		sums := map[string]string{}
		for range l.Samples(3, 7) {
			for _, i := range random.Perm(len(all)) {
				took, sum, err := all[i].sample(ctx, k, count)
				if err != nil {
					return err
				}
				t.AddTime(all[i].name, k, took)
				sums[all[i].name] = sum
			}
		}
		for name, sum := range sums {
			if sum != sums[clangNative] {
				return fmt.Errorf("%s: %s computes %s, %s computes %s", k, name, sum, clangNative, sums[clangNative])
			}
		}
	}
	return nil
}

// relative is a row's time divided by another's, kernel by kernel.
func relative(t *report.Table, row, by string) (all []float64) {
	for _, c := range t.Columns {
		all = append(all, t.Ratio(row, by, c.Name))
	}
	return all
}

// geometric is the geometric mean, the one for ratios.
func geometric(all []float64) float64 {
	var sum float64
	for _, v := range all {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(all)))
}

// figure shows the times divided by native ones.
func figure(t *report.Table) *report.Figure {
	f := &report.Figure{
		Name: "kernels", Title: "CPU time of kernels, by that of native code", Kind: report.Bars,
		X: report.Axis{Label: "times " + clangNative}, Categories: kernels,
	}
	for _, r := range t.Rows {
		if r.Label != clangNative {
			f.Series = append(f.Series, report.Series{Name: r.Label, Y: relative(t, r.Label, clangNative)})
		}
	}
	return f
}

// goal is how fast guests on Wasmtime are to be, by its command line.
const goal = 0.97

// ratios are speeds: more is better.
func ratios(t *report.Table) (all []report.Ratio) {
	has := func(label string) bool {
		return slices.ContainsFunc(t.Rows, func(r *report.Row) bool { return r.Label == label })
	}
	add := func(name, row, by string, goal float64) {
		if has(row) && has(by) {
			all = append(all, report.Ratio{Name: "guestspeed/" + name, Value: 1 / geometric(relative(t, row, by)), Higher: true, Goal: goal})
		}
	}
	for _, e := range engineNames {
		add(e.engine+":native", e.engine, clangNative, 0)
	}
	reference := plain
	if has(cli) {
		reference = cli
	}
	add("wasmtime:command-line", "wasmtime", reference, goal)
	add("epochs:none", plainEpochs, plain, 0)
	return all
}
