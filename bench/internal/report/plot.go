package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Measures of a plot.
const (
	plotWidth   = 24 * vg.Centimeter
	plotHeight  = 11 * vg.Centimeter
	barHeight   = 0.5 * vg.Centimeter
	legendSpace = 0.6 * vg.Centimeter
	pngDPI      = 120
)

var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// svg draws the figure without a background, or with a white one, for where it stands
// alone. colours are the numbers of the styles of lines by name, those of a run.
func (f *Figure) svg(background bool, colours map[string]int) ([]byte, error) {
	p, err := f.plot(colours)
	if err != nil {
		return nil, err
	}
	if background {
		p.BackgroundColor = color.White
	}
	c := vgsvg.NewWith(vgsvg.UseWH(plotWidth, p.height))
	p.draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// png draws the figure.
func (f *Figure) png(colours map[string]int) ([]byte, error) {
	p, err := f.plot(colours)
	if err != nil {
		return nil, err
	}
	p.BackgroundColor = color.White
	c := vgimg.NewWith(vgimg.UseWH(plotWidth, p.height), vgimg.UseDPI(pngDPI))
	p.draw(draw.New(c))
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// colours numbers the contestants, so that each has one colour in all figures.
func (r *Run) colours() map[string]int {
	numbers := map[string]int{}
	for _, s := range r.Sections {
		for _, f := range s.Drawn() {
			if f.Kind != Lines && f.Kind != CDF {
				continue
			}
			for _, line := range f.Series {
				if _, ok := numbers[line.Name]; !ok {
					numbers[line.Name] = len(numbers)
				}
			}
		}
	}
	return numbers
}

// drawing is a plot with its legend beside it, where it covers nothing.
type drawing struct {
	*plot.Plot
	legend plot.Legend
	height vg.Length
}

func (d *drawing) draw(c draw.Canvas) {
	if d.BackgroundColor != nil {
		c.SetColor(d.BackgroundColor)
		c.Fill(c.Rectangle.Path())
		d.BackgroundColor = nil
	}
	margin := 0.3 * vg.Centimeter
	c = draw.Crop(c, margin, -margin, margin, -margin)
	r := d.legend.Rectangle(c)
	// Other fonts than that which is measured here are wider.
	width := (r.Max.X-r.Min.X)*1.12 + legendSpace
	d.Draw(draw.Crop(c, 0, -width, 0, 0))
	d.legend.Draw(draw.Crop(c, c.Max.X-c.Min.X-width+legendSpace, 0, 0, -0.9*vg.Centimeter))
}

// plot makes the plot of the figure.
func (f *Figure) plot(colours map[string]int) (*drawing, error) {
	d := &drawing{Plot: plot.New(), legend: plot.NewLegend(), height: plotHeight}
	d.BackgroundColor = nil
	for _, s := range []*font.Font{
		&d.Title.TextStyle.Font, &d.X.Label.TextStyle.Font, &d.Y.Label.TextStyle.Font,
		&d.X.Tick.Label.Font, &d.Y.Tick.Label.Font, &d.legend.TextStyle.Font,
	} {
		s.Typeface, s.Variant = sans.Typeface, sans.Variant
	}
	d.Title.Text, d.Title.Padding = f.Title, 0.3*vg.Centimeter
	d.Title.TextStyle.Font.Size = 13
	d.legend.TextStyle.Font.Size = 10
	d.legend.Top, d.legend.Left, d.legend.Padding = true, true, 3
	d.X.Label.Padding, d.Y.Label.Padding = 4, 4
	var err error
	switch f.Kind {
	case Lines, CDF:
		err = f.lines(d, colours)
	case Bars, Stack:
		err = f.barChart(d)
	default:
		err = fmt.Errorf("no kind of figure: %q", f.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("figure %s: %w", f.Name, err)
	}
	return d, nil
}

// lines adds the lines of Lines and CDF.
func (f *Figure) lines(d *drawing, colours map[string]int) error {
	y := f.Y
	series := slices.Clone(f.Series)
	if f.Kind == CDF {
		y = Axis{Label: "share of the samples"}
		for i, s := range series {
			series[i] = steps(s)
		}
	}
	var xs, ys []float64
	for _, s := range series {
		xs, ys = append(xs, s.X...), append(ys, s.Y...)
	}
	sx, sy := f.X.set(&d.X, xs), y.set(&d.Y, ys)
	d.Add(grid())
	for _, s := range series {
		var points plotter.XYs
		for j := range min(len(s.X), len(s.Y)) {
			if f.X.Log && s.X[j] <= 0 || y.Log && s.Y[j] <= 0 {
				continue
			}
			points = append(points, plotter.XY{X: s.X[j] / sx, Y: s.Y[j] / sy})
		}
		if len(points) == 0 {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.LineStyle = lineStyle(colours[s.Name])
		d.Add(line)
		thumbs := []plot.Thumbnailer{line}
		if f.Kind == Lines {
			dots, err := plotter.NewScatter(points)
			if err != nil {
				return err
			}
			dots.GlyphStyle = draw.GlyphStyle{Color: line.Color, Radius: 2.5, Shape: draw.CircleGlyph{}}
			d.Add(dots)
			thumbs = append(thumbs, dots)
		}
		d.legend.Add(s.Name, thumbs...)
	}
	if f.Kind == CDF {
		d.Y.Min, d.Y.Max = 0, 1
	}
	return nil
}

// steps makes the curve of samples: it rises by 1/n at each.
func steps(s Series) Series {
	curve := Series{Name: s.Name}
	sorted := slices.Sorted(slices.Values(s.X))
	for i, x := range sorted {
		n := float64(len(sorted))
		curve.X = append(curve.X, x, x)
		curve.Y = append(curve.Y, float64(i)/n, float64(i+1)/n)
	}
	return curve
}

// set puts the axis on a plot, whose values are divided by what is returned.
func (a Axis) set(axis *plot.Axis, values []float64) (factor float64) {
	largest := 0.0
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			largest = max(largest, math.Abs(v))
		}
	}
	s := scaleFor(a.Unit, largest)
	if a.Unit == Nanoseconds && a.Log {
		s = scaleFor(a.Unit, largest/10) // most of what is shown is smaller
	}
	axis.Label.Text = a.Label
	if s.symbol != "" && a.Unit != PerSecond { // which the label says
		axis.Label.Text += " (" + s.symbol + ")"
	}
	if a.Log {
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, logTicks{}
	} else {
		axis.Tick.Marker = linearTicks{}
	}
	return s.factor
}
