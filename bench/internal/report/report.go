// Package report is what the benchmarks have measured and how it is shown: raw
// figures as JSON, tables as Markdown, plots as SVG and PNG, and one HTML page.
//
// A Run has a Section for each benchmark, a Section tables, which hold every sample,
// and figures. Medians, percentiles and ratios are computed when they are shown, so
// that what is kept can be shown again by a later version.
package report

import (
	"slices"
	"time"

	"blazar/bench/environment"
	"blazar/bench/stats"
)

// Run is one run of the benchmarks.
type Run struct {
	Environment *environment.Environment `json:"environment"`
	// Settings are those that differ from run to run, such as the flags.
	Settings map[string]string `json:"settings,omitempty"`
	// Contestants say what the labels of rows and lines mean.
	Contestants []Contestant `json:"contestants,omitempty"`
	Sections    []*Section   `json:"sections"`
}

// Contestant explains a label.
type Contestant struct {
	Label string `json:"label"`
	What  string `json:"what"`
	// Cache says whether the compiled module is in the cache, hit or miss; empty for those
	// that compile nothing or do not keep it.
	Cache string `json:"cache,omitempty"`
}

// Section is what one benchmark measured.
type Section struct {
	// Name is that of the benchmark: lower case, no blanks.
	Name  string `json:"name"`
	Title string `json:"title"`
	// About says what was measured and how, in plain sentences; an empty line
	// starts another paragraph.
	About   string    `json:"about"`
	Tables  []*Table  `json:"tables"`
	Figures []*Figure `json:"figures,omitempty"`
	// Ratios are those that carry over to other machines and are compared with
	// goals and with the baseline.
	Ratios []Ratio `json:"ratios,omitempty"`
	// Notes are what a reader must know: who did not take part, and why.
	Notes []string `json:"notes,omitempty"`
	// Took is how long the benchmark ran.
	Took time.Duration `json:"took_ns"`
}

// Ratio is a measured quotient, or another figure that does not depend on the
// machine's speed.
type Ratio struct {
	// Name is unique in a run and stays the same: section/what.
	Name string `json:"name"`
	// Label is what people read; empty for Name.
	Label string  `json:"label,omitempty"`
	Value float64 `json:"value"`
	// Unit is empty for a quotient.
	Unit Unit `json:"unit,omitempty"`
	// Higher says that more is better.
	Higher bool `json:"higher,omitempty"`
	// Goal is the value to reach, 0 if there is none.
	Goal float64 `json:"goal,omitempty"`
}

// Met says whether the goal is reached; true without one.
func (r Ratio) Met() bool {
	switch {
	case r.Goal == 0:
		return true
	case r.Higher:
		return r.Value >= r.Goal
	}
	return r.Value <= r.Goal
}

// Table holds the samples of one measurement: a row for each contestant, a column
// for each metric.
type Table struct {
	// Name is unique in its section: lower case, no blanks.
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Columns []Column `json:"columns"`
	Rows    []*Row   `json:"rows"`
	// Reference is the label of the row by whose medians the others are divided;
	// empty for no ratios.
	Reference string `json:"reference,omitempty"`
}

// Column is a metric.
type Column struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
}

// Row is a contestant.
type Row struct {
	Label string `json:"label"`
	// Samples by name of the column, in the order they were taken.
	Samples map[string][]float64 `json:"samples"`
}

// explained are the contestants whose label a row of the run has.
func (r *Run) explained() []Contestant {
	labels := map[string]bool{}
	for _, s := range r.Sections {
		for _, t := range s.Tables {
			for _, row := range t.Rows {
				labels[row.Label] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Contestants), func(c Contestant) bool { return !labels[c.Label] })
}

// label is what people read.
func (r Ratio) label() string {
	if r.Label != "" {
		return r.Label
	}
	return r.Name
}

// Column returns a column for Columns.
func (u Unit) Column(name string) Column { return Column{Name: name, Unit: u} }

// Row returns the row of a label, which it appends where there is none.
func (t *Table) Row(label string) *Row {
	for _, r := range t.Rows {
		if r.Label == label {
			return r
		}
	}
	r := &Row{Label: label, Samples: map[string][]float64{}}
	t.Rows = append(t.Rows, r)
	return r
}

// Add appends samples in the column's unit. A column that the table does not have is
// a mistake of the program.
func (t *Table) Add(row, column string, samples ...float64) {
	if !slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == column }) {
		panic("table " + t.Name + " has no column " + column)
	}
	r := t.Row(row)
	r.Samples[column] = append(r.Samples[column], samples...)
}

// AddTime appends a sample to a column of the unit Nanoseconds.
func (t *Table) AddTime(row, column string, d time.Duration) { t.Add(row, column, float64(d)) }

// Median is that of one cell, 0 if it is empty.
func (t *Table) Median(row, column string) float64 {
	for _, r := range t.Rows {
		if r.Label == row {
			return stats.Median(r.Samples[column])
		}
	}
	return 0
}

// Ratio is the median of one row divided by another's; not a number where one
// is missing.
func (t *Table) Ratio(row, by, column string) float64 {
	a, b := t.Median(row, column), t.Median(by, column)
	if a == 0 {
		b = 0 // 0/0
	}
	return stats.Ratio(a, b)
}
