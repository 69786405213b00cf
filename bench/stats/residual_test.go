package stats

import (
	"math"
	"testing"
)

func TestResidual(t *testing.T) {
	x := []float64{1, 10, 50, 100}
	exact := []float64{12, 30, 110, 210} // 10 + 2x
	l := Fit(x, exact)
	if math.Abs(l.Slope-2) > 1e-9 || math.Abs(l.Intercept-10) > 1e-9 || l.Residual(x, exact) > 1e-9 {
		t.Errorf("%+v, residual %v", l, l.Residual(x, exact))
	}
	// Off by 3, up and down: 4 points, 2 degrees of freedom.
	off := []float64{15, 27, 113, 207}
	if got := l.Residual(x, off); math.Abs(got-math.Sqrt(36.0/2)) > 1e-9 {
		t.Errorf("%v", got)
	}
	if got := Fit(x, off).Residual(x, off); got > l.Residual(x, off) {
		t.Errorf("another line lies closer than the fitted one: %v", got)
	}
	if got := l.Residual(x[:2], off); got != 0 {
		t.Errorf("of two points: %v", got)
	}
}

func TestQuantile(t *testing.T) {
	samples := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.75: 4, 0.95: 4.8, 1: 5} {
		if got := Quantile(samples, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 || samples[0] != 5 {
		t.Error("no samples, or sorted what it was given")
	}
}
