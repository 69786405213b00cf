package density

import (
	"strconv"

	"blazar/bench/internal/report"
	"blazar/bench/stats"
)

// point is the usage with n pods, or containers.
type point struct {
	n     int
	usage *usage
}

// series is what was measured while one thing grew in number.
type series struct {
	label  string // the contestant
	points []point
}

// metric is one figure of a usage.
type metric struct {
	name string
	of   func(*usage) float64
}

// metrics are those that tables have: all of the pods' own, and Pss of daemons.
func metrics() []metric {
	all := []metric{
		{"pods, private", func(u *usage) float64 { return u.memory[podProcesses].private }},
		{"pods, Pss", func(u *usage) float64 { return u.memory[podProcesses].pss }},
		{"pods, page tables", func(u *usage) float64 { return u.memory[podProcesses].tables }},
	}
	for _, g := range daemons {
		all = append(all, metric{string(g) + ", Pss", func(u *usage) float64 { return u.memory[g].pss }})
	}
	for _, g := range []group{serve, taskd} {
		all = append(all, metric{string(g) + ", private", func(u *usage) float64 { return u.memory[g].private }})
	}
	return append(all, total)
}

// blazar is what Blazar's own daemons hold, shimsPss what containerd's shims do, total all
// there is.
var (
	shimsPss = metric{"shims, Pss", func(u *usage) float64 { return u.memory[shims].pss }}
	blazar   = metric{"serve + taskd, Pss", func(u *usage) float64 { return u.memory[serve].pss + u.memory[taskd].pss }}
	total    = metric{"all, Pss", func(u *usage) float64 {
		var sum float64
		for _, m := range u.memory {
			sum += m.pss
		}
		return sum
	}}
)

// table shows every point of a series.
func (s *series) table(name, title, unit string) *report.Table {
	t := &report.Table{Name: name, Title: title}
	for _, m := range metrics() {
		t.Columns = append(t.Columns, report.Bytes.Column(m.name))
	}
	for _, p := range s.points {
		label := strconv.Itoa(p.n) + " " + unit
		for _, m := range metrics() {
			t.Add(label, m.name, m.of(p.usage))
		}
	}
	return t
}

// values are the metric's, x the numbers.
func (s *series) values(m metric) (x, y []float64) {
	for _, p := range s.points {
		x, y = append(x, float64(p.n)), append(y, m.of(p.usage))
	}
	return x, y
}

// fit is the line through the metric's values and how far they lie from it. The first
// of several processes is left out: it shares nothing, so that the whole of its program
// is its own.
func (s *series) fit(m metric) (l stats.Line, residual float64) {
	x, y := s.values(m)
	if len(x) > 2 && x[0] == 1 {
		x, y = x[1:], y[1:]
	}
	l = stats.Fit(x, y)
	return l, l.Residual(x, y)
}

// at is the metric with n of them; false if that was not measured.
func (s *series) at(m metric, n int) (float64, bool) {
	for _, p := range s.points {
		if p.n == n {
			return m.of(p.usage), true
		}
	}
	return 0, false
}

// slopes is a table of what one more costs: a row for each series.
func slopes(name, title string, all []*series) *report.Table {
	t := &report.Table{Name: name, Title: title}
	const off = "residual: all, Pss"
	for _, m := range metrics() {
		t.Columns = append(t.Columns, report.Bytes.Column(m.name))
	}
	t.Columns = append(t.Columns, report.Bytes.Column(off))
	for _, s := range all {
		for _, m := range metrics() {
			l, _ := s.fit(m)
			t.Add(s.label, m.name, l.Slope)
		}
		_, r := s.fit(total)
		t.Add(s.label, off, r)
	}
	return t
}

// figure draws one metric of every series, with a line.
func figure(name, title, unit string, m metric, all []*series) *report.Figure {
	f := &report.Figure{
		Name: name, Title: title, Kind: report.Lines,
		X: report.Axis{Label: unit}, Y: report.Axis{Label: m.name, Unit: report.Bytes},
	}
	for _, s := range all {
		x, y := s.values(m)
		f.Series = append(f.Series, report.Series{Name: s.label, X: x, Y: y})
	}
	return f
}
