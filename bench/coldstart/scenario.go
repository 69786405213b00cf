package coldstart

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/pods"
	"blazar/bench/internal/report"
)

// warmup is the number of pods of each contestant before the first that counts.
const warmup = 3

// pause is between pods that start one at a time. What a node does after a pod, such
// as preparing for the next, is not that one's.
const pause = 300 * time.Millisecond

// scenario is a way in which pods are started.
type scenario struct {
	name     string
	bridge   bool
	parallel int
	// quick and full are the samples of each contestant.
	quick, full int
	from        lab.Effort
	// uncached is for those that compile anew, and the one they are compared with.
	uncached bool
	// only says who takes part unless the effort is full or somebody was named; empty
	// for all.
	only []string
}

// few are those that tell what a scenario costs.
var few = []string{lab.Runc, lab.Floor, lab.Wasm, "wasm-cold", lab.BlazarRunc}

var scenarios = []scenario{
	{name: "host", parallel: 1, quick: 40, full: 200},
	{name: "uncached", uncached: true, parallel: 1, quick: 8, full: 30, from: lab.Quick},
	{name: "bridge", bridge: true, parallel: 1, quick: 25, full: 100, only: few},
	{name: "host-10", parallel: 10, quick: 40, full: 200, from: lab.Quick, only: few},
	{name: "host-50", parallel: 50, quick: 50, full: 200, from: lab.Quick, only: few},
	{name: "host-100", parallel: 100, quick: 100, full: 200, from: lab.Full, only: few},
	{name: "bridge-10", bridge: true, parallel: 10, quick: 40, full: 200, from: lab.Full},
	{name: "bridge-50", bridge: true, parallel: 50, quick: 50, full: 200, from: lab.Full},
}

func (s scenario) title() string {
	network := "host network"
	if s.bridge {
		network = "CNI bridge"
	}
	switch {
	case s.uncached:
		return network + ", one at a time, module compiled anew"
	case s.parallel == 1:
		return network + ", one at a time"
	}
	return fmt.Sprintf("%s, %d at a time", network, s.parallel)
}

// capital makes a title's first letter a capital.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// entrants are those of the field that take part.
func (s scenario) entrants(l *lab.Lab, field []lab.Entrant) []lab.Entrant {
	chosen := len(s.only) == 0 || l.Effort == lab.Full || len(l.Contestants) > 0
	return slices.DeleteFunc(slices.Clone(field), func(e lab.Entrant) bool {
		if s.uncached {
			return !e.Uncached && e.Name != lab.Runc
		}
		return e.Uncached || !chosen && !slices.Contains(s.only, e.Name)
	})
}

// The columns of the tables.
const (
	coldStart       = "cold start"
	runPod          = "RunPodSandbox"
	createContainer = "CreateContainer"
	startContainer  = "StartContainer"
	firstByte       = "to first byte"
	teardown        = "teardown"
)

func newTable(s scenario, field []lab.Entrant) *report.Table {
	t := &report.Table{Name: s.name, Title: capital(s.title()), Reference: lab.Reference(field)}
	for _, c := range []string{coldStart, runPod, createContainer, startContainer, firstByte, teardown} {
		t.Columns = append(t.Columns, report.Nanoseconds.Column(c))
	}
	for _, e := range field {
		t.Row(e.Name) // in this order, whoever comes first
	}
	return t
}

func add(t *report.Table, row string, s pods.Sample) {
	t.AddTime(row, coldStart, s.ColdStart)
	t.AddTime(row, runPod, s.RunPodSandbox)
	t.AddTime(row, createContainer, s.CreateContainer)
	t.AddTime(row, startContainer, s.StartContainer)
	t.AddTime(row, firstByte, s.FirstByte)
	t.AddTime(row, teardown, s.Teardown)
}
