package report

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// barChart adds the bars of Bars and Stack, and what they come to.
func (f *Figure) barChart(d *drawing) error {
	n := len(f.Categories)
	totals := make([]float64, n)
	for _, s := range f.Series {
		for i := range min(n, len(s.Y)) {
			if f.Kind == Stack {
				totals[i] += s.Y[i]
			} else {
				totals[i] = max(totals[i], s.Y[i])
			}
		}
	}
	factor := f.X.set(&d.X, totals)
	// In a group of bars there is one more for the gap.
	group := barHeight
	if f.Kind == Bars {
		group = barHeight / 2 * vg.Length(len(f.Series)+1)
	}
	d.height = 3.2*vg.Centimeter + vg.Length(n)*max(group, 0.8*vg.Centimeter)
	d.Add(verticalGrid())
	var below *plotter.BarChart
	for i, s := range f.Series {
		width := barHeight
		if f.Kind == Bars {
			width = barHeight / 2
		}
		b, err := plotter.NewBarChart(values(s.Y, n, factor), width)
		if err != nil {
			return err
		}
		b.Horizontal, b.Color, b.LineStyle.Width = true, palette[i%len(palette)], 0
		if f.Kind == Stack && below != nil {
			b.StackOn(below)
		}
		if f.Kind == Bars {
			b.Offset = barHeight / 2 * (vg.Length(len(f.Series)-1)/2 - vg.Length(i))
		}
		below = b
		d.Add(b)
		d.legend.Add(s.Name, b)
	}
	if err := f.totals(d, totals, factor); err != nil {
		return err
	}
	d.NominalY(reversed(f.Categories)...)
	d.Y.Tick.Label.Font.Size, d.Y.Padding = 11, 8
	d.X.Min, d.X.Max = 0, 1.12*slices.Max(append(totals, 0))/factor
	if d.X.Max == 0 {
		d.X.Max = 1
	}
	return nil
}

// totals writes what each stack, or single bar, comes to behind it.
func (f *Figure) totals(d *drawing, totals []float64, factor float64) error {
	if f.Kind == Bars && len(f.Series) > 1 {
		return nil
	}
	labels := plotter.XYLabels{}
	for i, total := range reversed(totals) {
		labels.XYs = append(labels.XYs, plotter.XY{X: total / factor, Y: float64(i)})
		labels.Labels = append(labels.Labels, digits(total/factor))
	}
	l, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range l.TextStyle {
		style := &l.TextStyle[i]
		style.Font.Typeface, style.Font.Variant, style.Font.Size = sans.Typeface, sans.Variant, 10
		style.YAlign = text.YCenter
	}
	l.Offset.X = 4
	d.Add(l)
	return nil
}

// values are n values, the last bar's first, as bars are counted from below.
func values(y []float64, n int, factor float64) plotter.Values {
	v := make(plotter.Values, n)
	for i := range min(n, len(y)) {
		if !math.IsNaN(y[i]) {
			v[n-1-i] = y[i] / factor
		}
	}
	return v
}

func reversed[T any](s []T) []T {
	r := slices.Clone(s)
	slices.Reverse(r)
	return r
}

var _ plot.Thumbnailer = (*plotter.BarChart)(nil)
