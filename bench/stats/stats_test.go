package stats

import (
	"math"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	var samples []time.Duration
	for i := 101; i > 0; i-- { // 1 to 101 ms, not sorted
		samples = append(samples, time.Duration(i)*time.Millisecond)
	}
	got := Summarize(samples)
	want := Summary{N: 101, Min: time.Millisecond, Max: 101 * time.Millisecond, P50: 51 * time.Millisecond, P90: 91 * time.Millisecond, P99: 100 * time.Millisecond, Spread: 50.0 / 51}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if samples[0] != 101*time.Millisecond {
		t.Error("sorted what it was given")
	}
	if got := Summarize([]time.Duration{10, 20}); got.P50 != 15 || got.P90 != 19 {
		t.Errorf("interpolation: %+v", got)
	}
	if got := Summarize([]time.Duration{7}); got.P50 != 7 || got.P99 != 7 || got.Spread != 0 {
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
