package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blazar/bench/environment"
	"blazar/bench/stats"
)

// result is everything that was measured, as it is kept.
type result struct {
	Benchmark   string                   `json:"benchmark"`
	Environment *environment.Environment `json:"environment"`
	Iterations  int                      `json:"iterations"`
	Warmup      int                      `json:"warmup"`
	Phases      []string                 `json:"phases"`
	// Contestants, the one that the others are compared with first.
	Contestants []column `json:"contestants"`
}

// column is one contestant's samples, by phase, in nanoseconds, in the order they
// were taken.
type column struct {
	Name    string                     `json:"name"`
	Handler string                     `json:"handler"`
	Image   string                     `json:"image"`
	Samples map[string][]time.Duration `json:"samples_ns"`
}

func newResult(o options) *result {
	r := &result{Benchmark: "coldstart", Iterations: o.iterations, Warmup: o.warmup, Phases: phases}
	for _, c := range contestants {
		r.Contestants = append(r.Contestants, column{c.name, c.handler, c.image, map[string][]time.Duration{}})
	}
	return r
}

func (r *result) add(contestant int, s sample) {
	samples := r.Contestants[contestant].Samples
	for phase, d := range s {
		samples[phase] = append(samples[phase], d)
	}
}

// noisySpread is the Spread of a median above which it is called noisy.
const noisySpread = 0.15

// table writes the result for people, as Markdown.
func (r *result) table(w io.Writer) error {
	var b strings.Builder
	e := r.Environment
	fmt.Fprintf(&b, "# Cold start, %s\n\n", e.Time.Format(time.DateOnly))
	fmt.Fprintf(&b, "%d pods of each contestant, alternating on one containerd, one at a time, in the host's network,\nafter %d of each to warm up. Milliseconds: p50 / p90 / p99; in brackets the p50 divided by that of %s.\n\n", r.Iterations, r.Warmup, r.Contestants[0].Name)

	b.WriteString("|")
	for _, c := range r.Contestants {
		b.WriteString(" | " + c.Name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---:", len(r.Contestants)) + "|\n")
	var spread float64
	for _, phase := range r.Phases {
		base := stats.Summarize(r.Contestants[0].Samples[phase])
		b.WriteString("| " + phase)
		for i, c := range r.Contestants {
			s := stats.Summarize(c.Samples[phase])
			fmt.Fprintf(&b, " | %s / %s / %s", ms(s.P50), ms(s.P90), ms(s.P99))
			if i > 0 {
				fmt.Fprintf(&b, " (%.2f)", stats.Ratio(s.P50, base.P50))
			}
			if phase == cold {
				spread = max(spread, s.Spread)
			}
		}
		b.WriteString(" |\n")
	}

	virtual := ""
	if e.Virtual {
		virtual = ", virtual machine"
	}
	fmt.Fprintf(&b, "\n%d × %s%s, %.0f GiB, Linux %s, cgroup %s, %s", e.Cores, e.CPU, virtual, float64(e.Memory)/(1<<30), e.Kernel, e.Cgroup, e.Go)
	for _, name := range slices.Sorted(maps.Keys(e.Versions)) {
		fmt.Fprintf(&b, ", %s %s", name, e.Versions[name])
	}
	fmt.Fprintf(&b, ".\nLoad %.2f before, %.2f after", e.LoadBefore, e.LoadAfter)
	why := e.Noisy()
	if spread > noisySpread {
		why = strings.TrimPrefix(why+fmt.Sprintf(", the middle half of the cold starts spreads over %.0f %% of the median", 100*spread), ", ")
	}
	if why != "" {
		fmt.Fprintf(&b, "; the machine was noisy: %s", why)
	}
	b.WriteString(".\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

// save writes the raw figures and the table into dir, which it makes.
func (r *result) save(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	base := filepath.Join(dir, "coldstart-"+r.Environment.Time.Format("20060102-150405"))
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(base+".json", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	f, err := os.Create(base + ".md")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return r.table(f)
}
