package main

import (
	"blazar/bench/coldstart"
	"blazar/bench/density"
	"blazar/bench/guestspeed"
	"blazar/bench/intask"
	"blazar/bench/internal/lab"
	"blazar/bench/podrate"
	"blazar/bench/throughput"
)

// benchmarks are all there are, in the order in which they run and are shown.
var benchmarks = []lab.Benchmark{
	coldstart.Benchmark{},
	podrate.Benchmark{},
	intask.Benchmark{},
	density.Benchmark{},
	throughput.Benchmark{},
	guestspeed.Benchmark{},
}
