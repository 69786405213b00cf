package main

import (
	"blazar/bench/coldstart"
	"blazar/bench/internal/lab"
)

// benchmarks are all there are, in the order in which they run and are shown.
var benchmarks = []lab.Benchmark{
	coldstart.Benchmark{},
}
