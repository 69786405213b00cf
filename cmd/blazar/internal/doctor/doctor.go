// Package doctor checks whether a host can run pods of Blazar and says what to do
// where it cannot. A check looks at a Host and changes nothing; the Host is a
// value, so tests feed good and bad ones to the same checks.
package doctor

import (
	"context"
	"time"
)

// Level says how bad a finding is.
type Level string

// The levels of a Result. Warn means that something is weaker or missing for
// some pods; Fail that pods cannot run.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Result is one line of the report.
type Result struct {
	Level Level  `json:"level"`
	Check string `json:"check"`
	// Found is what was found, in a few words.
	Found string `json:"found"`
	// Remedy is what to do about it; empty when Level is OK.
	Remedy string `json:"remedy,omitempty"`
}

// Check looks at one thing. It returns at least one Result, also when it could
// not look.
type Check func(ctx context.Context, h *Host) []Result

// Checks are all checks, in the order of the report.
var Checks = []Check{
	checkRoot,
	checkConfig,
	checkKernel,
	checkSeccomp,
	checkCgroups,
	checkKVM,
	checkContainerd,
	checkRuntimes,
	checkImagePull,
	checkOOMScore,
	checkShim,
	checkWasmTask,
	checkEngines,
	checkRunc,
	checkReaper,
	checkSockets,
	checkCNI,
}

// Report is everything that was found.
type Report struct {
	Results []Result `json:"results"`
	// Engines is the capability matrix, the preferred engine first.
	Engines []Engine `json:"engines"`
}

// perCheck bounds one check.
const perCheck = 10 * time.Second

// Run runs the checks one after the other.
func Run(ctx context.Context, h *Host, checks []Check) Report {
	var r Report
	for _, check := range checks {
		ctx, cancel := context.WithTimeout(ctx, perCheck)
		r.Results = append(r.Results, check(ctx, h)...)
		cancel()
	}
	r.Engines = matrix(ctx, h)
	return r
}

// Failed says whether any result is a Fail.
func (r Report) Failed() bool {
	for _, one := range r.Results {
		if one.Level == Fail {
			return true
		}
	}
	return false
}

func ok(check, found string) []Result { return []Result{{OK, check, found, ""}} }

func warn(check, found, remedy string) []Result { return []Result{{Warn, check, found, remedy}} }

func fail(check, found, remedy string) []Result { return []Result{{Fail, check, found, remedy}} }
