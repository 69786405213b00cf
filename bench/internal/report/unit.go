package report

import (
	"fmt"
	"math"
	"strconv"
)

// Unit says what a sample is a number of.
type Unit string

// The units; samples are always in these, whatever they are shown in.
const (
	Nanoseconds Unit = "ns"
	Bytes       Unit = "B"
	PerSecond   Unit = "1/s"
	Count       Unit = ""
)

// scale is a unit that values are shown in.
type scale struct {
	symbol  string
	factor  float64 // of the unit
	largest float64 // value that it is good for, in the unit
}

var scales = map[Unit][]scale{
	Nanoseconds: {{"ns", 1, 1e3}, {"µs", 1e3, 1e6}, {"ms", 1e6, 1e10}, {"s", 1e9, math.Inf(1)}},
	Bytes:       {{"B", 1, 1 << 10}, {"KiB", 1 << 10, 1 << 20}, {"MiB", 1 << 20, 1 << 33}, {"GiB", 1 << 30, math.Inf(1)}},
	PerSecond:   {{"/s", 1, math.Inf(1)}},
}

// scaleFor chooses what to show values around v in.
func scaleFor(u Unit, v float64) scale {
	for _, s := range scales[u] {
		if math.Abs(v) < s.largest {
			return s
		}
	}
	return scale{string(u), 1, math.Inf(1)}
}

// digits writes v with three significant digits, and no exponent.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case a >= 99.95 || a == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// Format writes a value in the scale that suits it: "19.7 ms".
func (u Unit) Format(v float64) string {
	s := scaleFor(u, v)
	if s.symbol == "" {
		return digits(v)
	}
	return fmt.Sprintf("%s %s", digits(v/s.factor), s.symbol)
}

// short writes a number of an axis: no more digits than it has.
func short(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

// rounded is v with three significant digits.
func rounded(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return r
}
