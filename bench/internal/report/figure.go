package report

import (
	"math"
	"slices"
)

// Kind is a kind of figure.
type Kind string

const (
	// Lines draws a line through the points of each series.
	Lines Kind = "lines"
	// CDF draws what share of the samples is at most x; a series has its samples in X.
	CDF Kind = "cdf"
	// Bars draws a horizontal bar for each of Categories, in which the values Y of the
	// series stand side by side; stacked, one after another.
	Bars Kind = "bars"
	// Stack is Bars whose series add up: the phases of a start, say.
	Stack Kind = "stack"
)

// Figure is a plot; it holds what is drawn and not how.
type Figure struct {
	// Name is unique in its section and part of file names: lower case, no blanks.
	Name  string `json:"name"`
	Title string `json:"title"`
	Kind  Kind   `json:"kind"`
	// X and Y are the axes. Of CDF only X is looked at; of Bars and Stack X is the
	// axis of the values.
	X Axis `json:"x"`
	Y Axis `json:"y,omitzero"`
	// Categories name the bars, the uppermost first.
	Categories []string `json:"categories,omitempty"`
	Series     []Series `json:"series"`
}

// Axis is one axis of a figure.
type Axis struct {
	Label string `json:"label"`
	// Unit is that of the values; the figure is drawn in a scale that suits them.
	Unit Unit `json:"unit"`
	// Log makes the axis logarithmic; values that are not positive are left out.
	Log bool `json:"log,omitempty"`
}

// Series is one line of a figure, or one part of its bars.
type Series struct {
	Name string    `json:"name"`
	X    []float64 `json:"x,omitempty"`
	Y    []float64 `json:"y,omitempty"`
}

// Drawn are the figures in which there is something to see: of a single sample there is
// no distribution.
func (s *Section) Drawn() []*Figure {
	return slices.DeleteFunc(slices.Clone(s.Figures), func(f *Figure) bool {
		return !slices.ContainsFunc(f.Series, func(s Series) bool { return len(s.X)+len(s.Y) > 0 })
	})
}

// CDF makes a figure of one column of the table, a curve for each row that has more
// than one sample. The axis is logarithmic where the medians are far apart.
func (t *Table) CDF(name, title, column string) *Figure {
	f := &Figure{Name: name, Title: title, Kind: CDF, X: Axis{Label: column, Unit: t.unit(column)}}
	low, high := math.Inf(1), 0.0
	for _, r := range t.Rows {
		if s := r.Samples[column]; len(s) > 1 {
			f.Series = append(f.Series, Series{Name: r.Label, X: slices.Sorted(slices.Values(s))})
			m := t.Median(r.Label, column)
			low, high = min(low, m), max(high, m)
		}
	}
	f.X.Log = low > 0 && high > 5*low
	return f
}

// Stack makes a figure of the medians of columns that follow one another, a bar for
// each row that has a sample of the first.
func (t *Table) Stack(name, title, label string, columns ...string) *Figure {
	return t.bars(Stack, name, title, label, columns)
}

// Bars makes a figure of the medians of columns, side by side.
func (t *Table) Bars(name, title, label string, columns ...string) *Figure {
	return t.bars(Bars, name, title, label, columns)
}

func (t *Table) bars(kind Kind, name, title, label string, columns []string) *Figure {
	f := &Figure{Name: name, Title: title, Kind: kind, X: Axis{Label: label, Unit: t.unit(columns[0])}}
	for _, r := range t.Rows {
		if len(r.Samples[columns[0]]) > 0 {
			f.Categories = append(f.Categories, r.Label)
		}
	}
	for _, c := range columns {
		s := Series{Name: c}
		for _, row := range f.Categories {
			s.Y = append(s.Y, t.Median(row, c))
		}
		f.Series = append(f.Series, s)
	}
	return f
}

func (t *Table) unit(column string) Unit {
	for _, c := range t.Columns {
		if c.Name == column {
			return c.Unit
		}
	}
	return Count
}
