// Package stats summarizes samples.
package stats

import (
	"math"
	"slices"
)

// Summary describes samples. The zero value describes none.
type Summary struct {
	N             int
	Min, Max      float64
	P50, P90, P99 float64
	// Spread is the distance of the quartiles divided by the median: the middle
	// half of the samples lies within it.
	Spread float64
}

// Summarize sorts a copy of the samples.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(samples))
	sum := Summary{
		N: len(s), Min: s[0], Max: s[len(s)-1],
		P50: quantile(s, 0.5), P90: quantile(s, 0.9), P99: quantile(s, 0.99),
	}
	if sum.P50 > 0 {
		sum.Spread = (quantile(s, 0.75) - quantile(s, 0.25)) / sum.P50
	}
	return sum
}

// quantile interpolates between the two samples around q, of sorted samples
// (Hyndman and Fan's type 7, as spreadsheets do).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	part := at - float64(low)
	return sorted[low] + part*(sorted[high]-sorted[low])
}

// Median is the middle one of the samples, 0 of none.
func Median(samples []float64) float64 { return Summarize(samples).P50 }

// Ratio is a divided by b; not a number where b is zero.
func Ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

// Line is the straight line y = Intercept + Slope·x closest to points (least
// squares); R2 is the share of y's variance that it explains, 1 at best.
type Line struct{ Intercept, Slope, R2 float64 }

// Fit needs two points of different x at least; of fewer all is not a number.
func Fit(x, y []float64) Line {
	n := float64(min(len(x), len(y)))
	var sx, sy, sxx, sxy, syy float64
	for i := range int(n) {
		sx, sy = sx+x[i], sy+y[i]
		sxx, sxy, syy = sxx+x[i]*x[i], sxy+x[i]*y[i], syy+y[i]*y[i]
	}
	vx, vy, c := n*sxx-sx*sx, n*syy-sy*sy, n*sxy-sx*sy
	slope := Ratio(c, vx)
	return Line{Slope: slope, Intercept: Ratio(sy-slope*sx, n), R2: Ratio(c*c, vx*vy)}
}
