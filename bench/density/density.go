// Package density measures the memory that pods cost while they wait: their own
// processes, and what the daemons keep of them.
package density

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/report"
	"blazar/internal/node"
)

// Benchmark is the measurement.
type Benchmark struct{}

var _ lab.Benchmark = Benchmark{}

// Name implements lab.Benchmark.
func (Benchmark) Name() string { return "density" }

const about = `How much memory do pods hold that do nothing? Each has one container, a C program that sleeps. Every contestant has a node of its own with fresh daemons; the memory of all its processes (smaps_rollup) is read as the pods grow in number, some time after the last one was started. What one more costs is the slope of the line through the points (least squares), without the one of a single pod, which shares its program with nobody; the residual is how far they lie from it.

Private memory is what would be free if the process were gone; Pss adds its share of what it has in common with others. Page tables, in neither, are shown for pods. "shims" are containerd's, of runc pods; their pause containers count as pods.

Containers are measured in one pod in the same way. The linear memory of the guest, all of it whether it was touched or not, is what the container's statistics report.`

// contestants that take part.
var contestants = []string{lab.Wasm, "wazero", "wasmedge", lab.Runc, lab.BlazarRunc}

// The steps at which memory is read.
var (
	podSteps  = map[lab.Effort][]int{lab.Smoke: {1, 2, 3}, lab.Quick: {1, 10, 25, 50, 75, 100}, lab.Full: {1, 10, 25, 50, 75, 100, 150, 200, 300, 400}}
	moreSteps = map[lab.Effort][]int{lab.Smoke: {1, 2, 3}, lab.Quick: {1, 10, 50, 100}, lab.Full: {1, 10, 25, 50, 100, 150, 200}}
)

// goalPods is how many pods the goal of the daemons' memory is about.
const goalPods = 50

// Run implements lab.Benchmark.
func (b Benchmark) Run(ctx context.Context, l *lab.Lab) (*report.Section, error) {
	m := &measurement{lab: l, section: &report.Section{Name: b.Name(), Title: "Memory of idle pods", About: about}}
	for _, name := range contestants {
		if err := m.contestant(ctx, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m.section, m.show()
}

// measurement collects the series.
type measurement struct {
	lab              *lab.Lab
	section          *report.Section
	pods, containers []*series
	linear           map[string]float64 // memory of a guest, by contestant
}

// contestant measures one on a node of its own.
func (m *measurement) contestant(ctx context.Context, name string) (err error) {
	if !m.lab.Wants(name, fromEffort(name)) {
		return nil
	}
	n, err := m.lab.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Stop(context.WithoutCancel(ctx))) }()
	field, notes, err := m.lab.Field(ctx, n, name)
	if err != nil {
		return err
	}
	m.section.Notes = append(m.section.Notes, notes...)
	for _, e := range field {
		if err := m.series(ctx, n, e); err != nil {
			return fmt.Errorf("%w\n%s", err, n.Log("containerd", 5))
		}
	}
	return nil
}

func fromEffort(name string) lab.Effort {
	if name == lab.Wasm || name == lab.Runc {
		return lab.Smoke
	}
	return lab.Quick
}

// series measures pods, and for a wasm kind containers.
func (m *measurement) series(ctx context.Context, n *node.Node, e lab.Entrant) (err error) {
	settle := lab.Pick(m.lab.Effort, 100*time.Millisecond, 3*time.Second, 10*time.Second)
	if e.Engine != "" {
		if err := n.ImportImage(ctx, filepath.Join(m.lab.Images, "stubborn.tar")); err != nil {
			return err
		}
	}
	if m.lab.Measures("pods", lab.Smoke) {
		m.lab.Say("density: pods, %s", e.Name)
		g, err := newGrower(n, e.Name, settle)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.client.Close()) }()
		if err := g.pods(ctx, e, podSteps[m.lab.Effort]); err != nil {
			return err
		}
		m.pods = append(m.pods, g.series)
	}
	if e.Engine == "" || !m.lab.Measures("containers", lab.Smoke) {
		return nil
	}
	m.lab.Say("density: containers, %s", e.Name)
	g, err := newGrower(n, e.Name, settle)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.client.Close()) }()
	linear, err := g.containers(ctx, e, moreSteps[m.lab.Effort])
	if err != nil {
		return err
	}
	if m.linear == nil {
		m.linear = map[string]float64{}
	}
	m.linear[e.Name] = linear
	m.containers = append(m.containers, g.series)
	return nil
}

// show makes tables, figures and ratios.
func (m *measurement) show() error {
	s := m.section
	private := metrics()[0]
	if len(m.pods) > 0 {
		s.Tables = append(s.Tables, slopes("per-pod", "One more idle pod", m.pods))
		s.Figures = append(s.Figures,
			figure("pods-private", "Private memory of the pods' own processes", "pods", private, m.pods),
			figure("pods-all", "Memory of pods, shims and daemons", "pods", total, m.pods),
			figure("pods-daemons", "Memory of Blazar's daemons", "pods", blazar, m.pods))
	}
	if len(m.containers) > 0 {
		t := slopes("per-container", "One more idle container in a pod", m.containers)
		const linear = "linear memory of the guest"
		t.Columns = append(t.Columns, report.Bytes.Column(linear))
		for _, c := range m.containers {
			t.Add(c.label, linear, m.linear[c.label])
		}
		s.Tables = append(s.Tables, t)
		s.Figures = append(s.Figures, figure("containers-private", "Private memory of a pod's own process", "containers", private, m.containers))
	}
	for _, p := range m.pods {
		s.Tables = append(s.Tables, p.table("pods-"+p.label, "Pods: "+p.label, "pods"))
	}
	for _, c := range m.containers {
		s.Tables = append(s.Tables, c.table("containers-"+c.label, "Containers in one pod: "+c.label, "containers"))
	}
	s.Ratios = m.ratios(private)
	return nil
}

// ratios are those with goals, and a pod's whole cost by runc's.
func (m *measurement) ratios(private metric) (all []report.Ratio) {
	find := func(list []*series, label string) *series {
		i := slices.IndexFunc(list, func(s *series) bool { return s.label == label })
		if i < 0 {
			return nil
		}
		return list[i]
	}
	runc := find(m.pods, lab.Runc)
	for _, s := range m.pods {
		whole, _ := s.fit(total)
		if runc != nil && s != runc {
			by, _ := runc.fit(total)
			all = append(all, report.Ratio{Name: "density/pod/" + s.label + ":runc", Value: whole.Slope / by.Slope})
		}
		if runc != nil && s.label == lab.BlazarRunc {
			// Those that manage pods, and whose pods are the same. containerd's has one more,
			// pause, which is left out.
			own, _ := s.fit(blazar)
			by, _ := runc.fit(shimsPss)
			all = append(all, report.Ratio{Name: "density/management/" + s.label + ":runc", Value: own.Slope / by.Slope, Goal: 0.1})
		}
		if s.label != lab.Wasm {
			continue
		}
		own, _ := s.fit(private)
		growth, _ := s.fit(blazar)
		all = append(all,
			report.Ratio{Name: "density/pod-private", Value: own.Slope, Unit: report.Bytes, Goal: 2.5 * (1 << 20)},
			report.Ratio{Name: "density/daemons-per-pod", Value: growth.Slope, Unit: report.Bytes, Goal: 50 << 10})
		if v, ok := s.at(blazar, goalPods); ok {
			all = append(all, report.Ratio{Name: "density/daemons-at-50-pods", Value: v, Unit: report.Bytes, Goal: 30 << 20})
		}
	}
	if s := find(m.containers, lab.Wasm); s != nil {
		own, _ := s.fit(private)
		all = append(all, report.Ratio{
			Name: "density/container-beyond-linear-memory", Value: own.Slope - m.linear[lab.Wasm], Unit: report.Bytes, Goal: 0.2 * (1 << 20),
		})
	}
	return all
}
