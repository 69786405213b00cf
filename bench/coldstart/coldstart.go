// Package coldstart measures how long pods take to start, and to go, through CRI.
package coldstart

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/pods"
	"blazar/bench/internal/report"
	"blazar/internal/node"
)

// Benchmark is cold start through CRI, phase by phase.
type Benchmark struct{}

var _ lab.Benchmark = Benchmark{}

// Name is coldstart.
func (Benchmark) Name() string { return "coldstart" }

const about = `From the call of RunPodSandbox to the first byte of the container's output in its log file, which the benchmark watches with inotify; then, when the container has ended, StopPodSandbox and RemovePodSandbox. The phases are timed where a kubelet would: at the calls of CRI. "To first byte" begins with the call of StartContainer.

All contestants run on one containerd, in an order that is shuffled for every round, after a few pods of each to warm up, with a pause of 0.3 s before each pod, or each batch of pods. Where pods start in parallel all of them are of one contestant and start at once. The guest prints a line and ends. Its compiled artifact is in the cache; only where modules are compiled anew is it evicted before each pod.`

// Run measures every scenario.
func (Benchmark) Run(ctx context.Context, l *lab.Lab) (*report.Section, error) {
	n, err := l.Node(ctx)
	if err != nil {
		return nil, err
	}
	s := &report.Section{Title: "Cold start through CRI", About: about}
	field, notes, err := l.Field(ctx, n)
	if err != nil {
		return nil, err
	}
	s.Notes = notes
	r, err := pods.NewRunner(n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // everything has been answered by then
	m := &meter{lab: l, node: n, runner: r, random: rand.New(rand.NewPCG(1, 2))}
	for _, sc := range scenarios {
		if !l.Measures(sc.name, sc.from) {
			continue
		}
		entrants := sc.entrants(l, field)
		if !slices.ContainsFunc(entrants, func(e lab.Entrant) bool { return e.Uncached == sc.uncached }) {
			continue
		}
		entrants, notes, err := m.warmUp(ctx, sc, entrants)
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", sc.title(), err, n.Log("containerd", 10))
		}
		s.Notes = append(s.Notes, notes...)
		t, err := m.measure(ctx, sc, entrants)
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", sc.title(), err, n.Log("containerd", 10))
		}
		s.Tables = append(s.Tables, t)
		s.Figures = append(s.Figures,
			t.CDF(t.Name, "Cold start, "+sc.title(), coldStart),
			t.Stack(t.Name+"-phases", "Cold start by phase, medians, "+sc.title(), "since the call of RunPodSandbox", runPod, createContainer, firstByte),
		)
		s.Ratios = append(s.Ratios, ratios(t)...)
	}
	return s, nil
}

// ratios are those of the table that carry over to other machines.
func ratios(t *report.Table) []report.Ratio {
	var all []report.Ratio
	for _, r := range t.Rows {
		for _, by := range []string{lab.Runc, lab.Floor} {
			v := t.Ratio(r.Label, by, coldStart)
			if r.Label == by || r.Label == lab.Runc || math.IsNaN(v) {
				continue
			}
			name := fmt.Sprintf("coldstart/%s/%s:%s", t.Name, r.Label, by)
			all = append(all, report.Ratio{Name: name, Label: fmt.Sprintf("%s, %s by %s", t.Title, r.Label, by), Value: v, Goal: goals[name]})
		}
	}
	return all
}

// goals are those of ratios.
var goals = map[string]float64{
	"coldstart/host/wasm:runc":  0.17,
	"coldstart/host/wasm:floor": 1.08,
	// Without a prepared wasm-task.
	"coldstart/host/wasm-cold:floor":  1.30,
	"coldstart/host/blazar-runc:runc": 0.6,
}

// meter measures scenarios.
type meter struct {
	lab    *lab.Lab
	node   *node.Node
	runner *pods.Runner
	random *rand.Rand
}

// warmUp runs the pods of a scenario before those that count. A peer of which none
// runs does not take part any more.
func (m *meter) warmUp(ctx context.Context, sc scenario, field []lab.Entrant) (left []lab.Entrant, notes []string, err error) {
	m.runner.Bridge = sc.bridge
	for _, e := range field {
		pods := lab.Pick(m.lab.Effort, 1, warmup, warmup)
		if e.Uncached {
			pods = 1 // it leaves the artifact that is evicted first
		}
		for range pods {
			_, err = m.runner.One(ctx, e)
			if err != nil {
				break
			}
		}
		switch {
		case err == nil:
			left = append(left, e)
		case e.Peer && ctx.Err() == nil:
			notes = append(notes, fmt.Sprintf("%s did not take part in %s: %v.", e.Name, sc.title(), err))
		default:
			return nil, nil, fmt.Errorf("warm up %s: %w", e.Name, err)
		}
	}
	return left, notes, nil
}

// measure runs the rounds of a scenario.
func (m *meter) measure(ctx context.Context, sc scenario, field []lab.Entrant) (*report.Table, error) {
	t := newTable(sc, field)
	count := m.lab.Samples(sc.quick, sc.full)
	if m.lab.Effort > lab.Smoke {
		count = max(count, sc.parallel)
	}
	m.lab.Say("cold start, %s: %d pods of each of %d contestants", sc.title(), count, len(field))
	for done := 0; done < count; done += sc.parallel {
		batch := min(sc.parallel, count-done)
		for _, i := range m.random.Perm(len(field)) {
			e := field[i]
			if e.Evict != nil {
				if err := e.Evict(); err != nil {
					return nil, fmt.Errorf("%s: %w", e.Name, err)
				}
			}
			if m.lab.Effort > lab.Smoke {
				time.Sleep(pause)
			}
			samples, _, err := m.runner.Many(ctx, e, batch, batch)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name, err)
			}
			for _, s := range samples {
				add(t, e.Name, s)
			}
		}
	}
	return t, nil
}
