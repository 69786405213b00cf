package report

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette holds colours that can be told apart by the colour-blind too (after Okabe
// and Ito) and that show on white and on black.
var palette = []color.Color{
	color.RGBA{0x7f, 0x7f, 0x7f, 0xff}, // grey
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
	color.RGBA{0x1f, 0x83, 0xc4, 0xff}, // blue
	color.RGBA{0x00, 0xa0, 0x78, 0xff}, // green
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	color.RGBA{0xcc, 0x6f, 0xa6, 0xff}, // purple
	color.RGBA{0x5a, 0xb8, 0xe8, 0xff}, // sky blue
	color.RGBA{0xa8, 0x8a, 0x3c, 0xff}, // khaki
}

// dashes tell lines of the same colour apart.
var dashes = [][]vg.Length{nil, {5, 3}, {1.5, 2}}

func lineStyle(i int) draw.LineStyle {
	return draw.LineStyle{
		Color:  palette[i%len(palette)],
		Width:  1.6,
		Dashes: dashes[i/len(palette)%len(dashes)],
	}
}

var gridColor = color.RGBA{0x80, 0x80, 0x80, 0xff}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	for _, s := range []*draw.LineStyle{&g.Vertical, &g.Horizontal} {
		s.Color, s.Width, s.Dashes = gridColor, 0.2, nil
	}
	return g
}

func verticalGrid() *plotter.Grid {
	g := grid()
	g.Horizontal.Color = nil
	return g
}

// linearTicks are gonum's, labelled as people write numbers.
type linearTicks struct{}

// Ticks returns those between the limits.
func (linearTicks) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = short(ticks[i].Value)
		}
	}
	return ticks
}

// logTicks are at 1, 2 and 5 times every power of ten.
type logTicks struct{}

// Ticks returns those between the limits, which are positive.
func (logTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	wide := math.Log10(high/low) > 2.5
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, e)
			if v < low*0.999 || v > high*1.001 {
				continue
			}
			t := plot.Tick{Value: v}
			if m == 1 || !wide && (m == 2 || m == 5) {
				t.Label = short(v)
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}
