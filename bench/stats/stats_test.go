package stats

import (
	"math"
	"testing"
)

func TestSummarize(t *testing.T) {
	var samples []float64
	for i := 101; i > 0; i-- { // 1 to 101, not sorted
		samples = append(samples, float64(i))
	}
	got := Summarize(samples)
	want := Summary{N: 101, Min: 1, Max: 101, P50: 51, P90: 91, P99: 100, Spread: 50.0 / 51}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if samples[0] != 101 {
		t.Error("sorted what it was given")
	}
	if got := Summarize([]float64{10, 20}); got.P50 != 15 || got.P90 != 19 {
		t.Errorf("interpolation: %+v", got)
	}
	if got := Summarize([]float64{7}); got.P50 != 7 || got.P99 != 7 || got.Spread != 0 {
		t.Errorf("one sample: %+v", got)
	}
	if got := Summarize(nil); got != (Summary{}) {
		t.Errorf("no samples: %+v", got)
	}
}

func TestRatio(t *testing.T) {
	if r := Ratio(30, 120); r != 0.25 {
		t.Errorf("%v", r)
	}
	if r := Ratio(1, 0); !math.IsNaN(r) {
		t.Errorf("%v", r)
	}
}

func TestFit(t *testing.T) {
	l := Fit([]float64{1, 10, 100}, []float64{5, 23, 203}) // 3 + 2x
	if math.Abs(l.Slope-2) > 1e-9 || math.Abs(l.Intercept-3) > 1e-9 || math.Abs(l.R2-1) > 1e-9 {
		t.Errorf("%+v", l)
	}
	if l := Fit([]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}); math.Abs(l.Slope-0.8) > 1e-9 || math.Abs(l.R2-0.64) > 1e-9 {
		t.Errorf("%+v", l)
	}
	if l := Fit([]float64{1}, []float64{1}); !math.IsNaN(l.Slope) {
		t.Errorf("one point: %+v", l)
	}
}
