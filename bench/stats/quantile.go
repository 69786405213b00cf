package stats

import "slices"

// Quantile is what a share q of the samples is at most, q from 0 to 1; 0 of none. It
// interpolates as Summarize does.
func Quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	return quantile(slices.Sorted(slices.Values(samples)), q)
}
