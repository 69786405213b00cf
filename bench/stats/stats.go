// Package stats summarizes samples of durations.
package stats

import (
	"math"
	"slices"
	"time"
)

// Summary describes samples. The zero value describes none.
type Summary struct {
	N             int
	Min, Max      time.Duration
	P50, P90, P99 time.Duration
	// Spread is the distance of the quartiles divided by the median: the middle
	// half of the samples lies within it.
	Spread float64
}

// Summarize sorts a copy of the samples.
func Summarize(samples []time.Duration) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(samples))
	sum := Summary{
		N: len(s), Min: s[0], Max: s[len(s)-1],
		P50: quantile(s, 0.5), P90: quantile(s, 0.9), P99: quantile(s, 0.99),
	}
	if sum.P50 > 0 {
		sum.Spread = float64(quantile(s, 0.75)-quantile(s, 0.25)) / float64(sum.P50)
	}
	return sum
}

// quantile interpolates between the two samples around q, of sorted samples
// (Hyndman and Fan's type 7, as spreadsheets do).
func quantile(sorted []time.Duration, q float64) time.Duration {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	part := at - float64(low)
	return sorted[low] + time.Duration(part*float64(sorted[high]-sorted[low]))
}

// Ratio is a divided by b; not a number where b is zero.
func Ratio(a, b time.Duration) float64 {
	if b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}
