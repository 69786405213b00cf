package report_test

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"blazar/bench/environment"
	"blazar/bench/internal/report"
	"blazar/bench/internal/reporttest"
)

// sampled is a run with every kind of table and figure: ten samples from 10 to 100 ms,
// and the second contestant's in a tenth of the time.
func sampled() *report.Run {
	t := &report.Table{
		Name: "host", Title: "host <network> & more", Reference: "runc",
		Columns: []report.Column{report.Nanoseconds.Column("cold start"), report.Nanoseconds.Column("teardown"), report.Bytes.Column("memory")},
	}
	for i := range 10 {
		for row, unit := range map[string]time.Duration{"runc": 10 * time.Millisecond, "wasm": time.Millisecond} {
			t.AddTime(row, "cold start", time.Duration(i+1)*unit)
			t.AddTime(row, "teardown", time.Duration(i+1)*unit/2)
		}
	}
	t.Add("wasm", "memory", 1.8*1024*1024) // runc's was not measured
	t.Rows = []*report.Row{t.Row("runc"), t.Row("wasm")}
	single := &report.Table{Columns: t.Columns}
	single.Add("wasm", "memory", 1)
	lines := &report.Figure{
		Name: "slope", Title: "Memory", Kind: report.Lines,
		X: report.Axis{Label: "pods", Log: true}, Y: report.Axis{Label: "memory", Unit: report.Bytes},
		Series: []report.Series{{Name: "wasm", X: []float64{0, 1, 10, 100}, Y: []float64{1, 2e6, 2e7, 2e8}}},
	}
	r := &report.Run{
		Environment: environment.Begin(),
		Settings:    map[string]string{"n": "10"},
		Sections: []*report.Section{{
			Name: "coldstart", Title: "Cold start", About: "One.\n\nTwo.", Tables: []*report.Table{t},
			Figures: []*report.Figure{
				t.CDF("cdf", "Cold <start>", "cold start"), lines,
				t.Stack("stack", "By phase", "time", "cold start", "teardown"), t.Bars("bars", "Side by side", "time", "cold start", "teardown"),
				single.CDF("nothing", "Nothing to see", "memory"),
			},
			Ratios: []report.Ratio{{Name: "coldstart/wasm:runc", Value: t.Ratio("wasm", "runc", "cold start"), Goal: 0.17}},
			Notes:  []string{"blazar-runc did not take part."}, Took: time.Second,
		}},
	}
	r.Environment.End()
	return r
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results") // made at the first measurement
	r := sampled()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	reporttest.Check(t, dir, r)
	again, err := report.Read(filepath.Join(dir, report.Raw))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Sections, r.Sections) || again.Environment.Kernel != r.Environment.Kernel {
		t.Errorf("read %+v, wrote %+v", again, r)
	}
	before, err := os.ReadFile(filepath.Join(dir, report.Text))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := again.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	if text.String() != string(before) {
		t.Errorf("shown again:\n%s\nbefore:\n%s", text.String(), before)
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	if err := sampled().Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| | cold start, ms | teardown, ms | memory, MiB |\n|---|---:|---:|---:|\n",
		"| runc | 55.0 / 91.0 / 99.1 | 27.5 / 45.5 / 49.5 | – |\n",
		"| wasm | 5.50 / 9.10 / 9.91 (0.10 ×) | 2.75 / 4.55 / 4.96 (0.10 ×) | 1.80 |\n",
		"p50 / p90 / p99 of up to 10 samples; × is the median divided by that of runc.",
		"Noisy: the middle half of cold start",
		"| coldstart/wasm:runc | 0.10 | ≤ 0.17 | reached |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

func TestRatioOfWhatIsMissing(t *testing.T) {
	table := sampled().Sections[0].Tables[0]
	for _, q := range []float64{table.Ratio("wasm", "floor", "cold start"), table.Ratio("floor", "wasm", "cold start"), table.Ratio("wasm", "runc", "memory")} {
		if !math.IsNaN(q) {
			t.Errorf("%v", q)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.json")
	for _, content := range []string{"", "{", `{"sections": []}`, `{"environment": {}, "contestants": []}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := report.Read(file); err == nil {
			t.Errorf("%q: %+v", content, r)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit report.Unit
		v    float64
		want string
	}{
		{report.Nanoseconds, 0, "0 ns"},
		{report.Nanoseconds, 19_712_345, "19.7 ms"},
		{report.Nanoseconds, 532, "532 ns"},
		{report.Nanoseconds, 99_970, "100 µs"},
		{report.Nanoseconds, 12.3e9, "12.3 s"},
		{report.Bytes, 2.5 * 1024 * 1024, "2.50 MiB"},
		{report.PerSecond, 57.04, "57.0 /s"},
		{report.Count, 0.0456, "0.046"},
		{report.Count, math.NaN(), "–"},
	} {
		if got := c.unit.Format(c.v); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
