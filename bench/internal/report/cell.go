package report

import (
	"fmt"
	"math"

	"blazar/bench/stats"
)

// few is the number of samples below which percentiles say nothing.
const few = 5

// cell is what is shown of a row's samples of a column.
type cell struct {
	// Text has the median and, of more samples, p90 and p99, or of few the extremes.
	// It has no unit where the column has one scale.
	Text string
	// Ratio is the median divided by the reference's, empty for the reference and where
	// there is none.
	Ratio string
}

// scaleOf is the scale of a whole column: that of its reference or, without one, of
// the median of its medians, so that figures can be compared at a glance.
func (t *Table) scaleOf(c Column) scale {
	if m := t.Median(t.Reference, c.Name); m > 0 {
		return scaleFor(c.Unit, m)
	}
	var all []float64
	for _, r := range t.Rows {
		if len(r.Samples[c.Name]) > 0 {
			all = append(all, t.Median(r.Label, c.Name))
		}
	}
	return scaleFor(c.Unit, stats.Median(all))
}

// head is the column's name with the unit that its values are shown in.
func (t *Table) head(c Column) string {
	if s := t.scaleOf(c).symbol; s != "" && s != "/s" {
		return c.Name + ", " + s
	}
	return c.Name
}

func (t *Table) cell(r *Row, c Column) cell {
	samples := r.Samples[c.Name]
	if len(samples) == 0 {
		return cell{Text: "–"}
	}
	f := t.scaleOf(c).factor
	s := stats.Summarize(samples)
	var out cell
	switch {
	case s.N == 1:
		out.Text = digits(s.P50 / f)
	case s.N < few:
		out.Text = fmt.Sprintf("%s (%s … %s)", digits(s.P50/f), digits(s.Min/f), digits(s.Max/f))
	default:
		out.Text = fmt.Sprintf("%s / %s / %s", digits(s.P50/f), digits(s.P90/f), digits(s.P99/f))
	}
	if t.Reference != "" && r.Label != t.Reference {
		if q := t.Ratio(r.Label, t.Reference, c.Name); !math.IsNaN(q) {
			out.Ratio = digits(q) + " ×"
		}
	}
	return out
}

// samples is the largest number of samples in a row of the table.
func (t *Table) samples() int {
	n := 0
	for _, r := range t.Rows {
		for _, s := range r.Samples {
			n = max(n, len(s))
		}
	}
	return n
}

// legend says what the cells hold.
func (t *Table) legend() string {
	s := ""
	switch n := t.samples(); {
	case n >= few:
		s = fmt.Sprintf("p50 / p90 / p99 of up to %d samples", n)
	case n > 1:
		s = fmt.Sprintf("median (least … most) of up to %d samples", n)
	}
	if t.Reference != "" {
		if s != "" {
			s += "; "
		}
		s += "× is the median divided by that of " + t.Reference
	}
	if s == "" {
		return ""
	}
	return s + "."
}

// noisySpread is the spread of a median above which it is called noisy.
const noisySpread = 0.25

// noise names the contestant whose first column spreads most, if that is much.
func (t *Table) noise() string {
	if len(t.Columns) == 0 {
		return ""
	}
	worst, label := noisySpread, ""
	for _, r := range t.Rows {
		if s := stats.Summarize(r.Samples[t.Columns[0].Name]); s.N >= few && s.Spread > worst {
			worst, label = s.Spread, r.Label
		}
	}
	if label == "" {
		return ""
	}
	return fmt.Sprintf("Noisy: the middle half of %s (%s) spreads over %.0f %% of the median.", t.Columns[0].Name, label, 100*worst)
}
