// Package podrate measures how many pods a node runs in a second.
package podrate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/pods"
	"blazar/bench/internal/report"
	"blazar/internal/node"
)

// Benchmark is pods per second.
type Benchmark struct{}

var _ lab.Benchmark = Benchmark{}

// Name is podrate.
func (Benchmark) Name() string { return "podrate" }

const about = `Pods from the call of RunPodSandbox until RemovePodSandbox has answered, a number of them at a time in the host's network: each runs one container that prints a line and ends. A sample is one batch of pods divided by the time from the first call to the last answer. The contestants' batches alternate.`

// batch is how many pods are run, and how many of them at a time.
type batch struct {
	name           string
	pods, parallel int
	from           lab.Effort
}

func (b batch) column() string { return fmt.Sprintf("%d pods, %d at a time", b.pods, b.parallel) }

var batches = []batch{
	{name: "pods-60", pods: 60, parallel: 20},
	{name: "pods-100", pods: 100, parallel: 20, from: lab.Quick},
	{name: "pods-100-50", pods: 100, parallel: 50, from: lab.Full},
}

// Run measures every batch.
func (Benchmark) Run(ctx context.Context, l *lab.Lab) (*report.Section, error) {
	n, err := l.Node(ctx)
	if err != nil {
		return nil, err
	}
	field, notes, err := l.Field(ctx, n, lab.Runc, lab.Floor, lab.Wasm, lab.BlazarRunc)
	if err != nil {
		return nil, err
	}
	s := &report.Section{Title: "Pods per second", About: about, Notes: notes}
	t := &report.Table{Name: "podrate", Title: "Create to removal", Reference: lab.Reference(field)}
	s.Tables = []*report.Table{t}
	if err := measure(ctx, l, n, field, t); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, n.Log("containerd", 10))
	}
	if len(t.Columns) == 0 {
		return s, nil // none of -tables is one of these
	}
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, c.Name)
	}
	s.Figures = []*report.Figure{t.Bars("batches", "Pods per second, create to removal, medians", "pods per second", columns...)}
	s.Ratios = ratios(t)
	return s, nil
}

// measure runs the batches of all contestants, one after another.
func measure(ctx context.Context, l *lab.Lab, n *node.Node, field []lab.Entrant, t *report.Table) error {
	r, err := pods.NewRunner(n)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // everything has been answered by then
	random := rand.New(rand.NewPCG(1, 2))
	for _, e := range field {
		t.Row(e.Name) // in this order, whoever comes first
		if _, err := r.One(ctx, e); err != nil {
			return fmt.Errorf("warm up %s: %w", e.Name, err)
		}
	}
	for _, b := range batches {
		if !l.Measures(b.name, b.from) {
			continue
		}
		c := report.PerSecond.Column(b.column())
		t.Columns = append(t.Columns, c)
		l.Say("pods per second: %s", c.Name)
		count := lab.Pick(l.Effort, 2, b.pods, b.pods)
		for range lab.Pick(l.Effort, 1, 3, 7) {
			for _, i := range random.Perm(len(field)) {
				_, took, err := r.Many(ctx, field[i], count, b.parallel)
				if err != nil {
					return fmt.Errorf("%s: %w", field[i].Name, err)
				}
				t.Add(field[i].Name, c.Name, float64(count)/took.Seconds())
			}
		}
	}
	return nil
}

// ratios are by runc and by the floor.
func ratios(t *report.Table) []report.Ratio {
	var all []report.Ratio
	for _, r := range t.Rows {
		for _, by := range []string{lab.Runc, lab.Floor} {
			v := t.Ratio(r.Label, by, batches[0].column()) // 60, as the goal has it
			if r.Label == by || r.Label == lab.Runc || math.IsNaN(v) {
				continue
			}
			name := fmt.Sprintf("podrate/%d/%s:%s", batches[0].pods, r.Label, by)
			all = append(all, report.Ratio{Name: name, Label: fmt.Sprintf("%s, %s by %s", batches[0].column(), r.Label, by), Value: v, Higher: true, Goal: goals[name]})
		}
	}
	return all
}

// goals are those of ratios.
var goals = map[string]float64{"podrate/60/wasm:floor": 0.8}
