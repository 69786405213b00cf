package stats

import "math"

// Residual is how far points lie from the line: the root of the mean square of what it
// does not explain, in y's unit; with n-2 degrees of freedom, 0 for fewer than three
// points.
func (l Line) Residual(x, y []float64) float64 {
	n := min(len(x), len(y))
	if n < 3 {
		return 0
	}
	var sum float64
	for i := range n {
		d := y[i] - l.Intercept - l.Slope*x[i]
		sum += d * d
	}
	return math.Sqrt(sum / float64(n-2))
}
