package report_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blazar/bench/internal/report"
)

func TestCompare(t *testing.T) {
	b := &report.Baseline{Ratios: []report.Bound{
		{Name: "as before", Value: 0.2, Tolerance: 0.3},
		{Name: "slower", Value: 0.2, Tolerance: 0.3},
		{Name: "faster", Value: 0.2, Tolerance: 0.3},
		{Name: "fewer", Value: 4, Higher: true, Tolerance: 0.3},
		{Name: "more", Value: 4, Higher: true, Tolerance: 0.3},
		{Name: "gone", Value: 1, Tolerance: 0.3},
	}}
	r := &report.Run{Sections: []*report.Section{{}, {Ratios: []report.Ratio{
		{Name: "as before", Value: 0.25}, {Name: "slower", Value: 0.27}, {Name: "faster", Value: 0.1},
		{Name: "fewer", Value: 3, Higher: true}, {Name: "more", Value: 9, Higher: true}, {Name: "new", Value: 7},
	}}}}
	var text strings.Builder
	worse, err := b.Compare(&text, r)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"slower", "fewer", "gone"}; !slices.Equal(worse, want) {
		t.Errorf("worse: %q, want %q\n%s", worse, want, text.String())
	}
	if !strings.Contains(text.String(), "| slower | 0.20 | 0.26 | 0.27 | **worse** |\n") {
		t.Error(text.String())
	}

	better := &report.Run{Sections: []*report.Section{{Ratios: []report.Ratio{{Name: "slower", Value: 0.2}, {Name: "fewer", Value: 2}}}}}
	text.Reset()
	if worse, err := b.Compare(&text, r, better); err != nil || !slices.Equal(worse, []string{"fewer", "gone"}) {
		t.Errorf("measured twice: %q, %v", worse, err)
	}
	if !strings.Contains(text.String(), "| slower | 0.20 | 0.26 | 0.27, then 0.20 | ok |\n") {
		t.Error(text.String())
	}

	file := filepath.Join(t.TempDir(), "baseline.json")
	b.Update(r)
	if err := b.Write(file); err != nil {
		t.Fatal(err)
	}
	again, err := report.ReadBaseline(file)
	if err != nil {
		t.Fatal(err)
	}
	if worse, err := again.Compare(&text, r); err != nil || !slices.Equal(worse, []string{"gone"}) {
		t.Errorf("after an update: %q, %v", worse, err)
	}
}

func TestReadBaselineRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "baseline.json")
	for _, content := range []string{
		``, `{}`, `{"ratios": []}`, `{"ratios": [{"name": "a", "value": 1}]}`, `{"ratios": [{"name": "a", "tolerance": 0.1}]}`,
		`{"ratios": [{"name": "a", "value": 1, "tolerance": 0.1}], "samples": 20}`,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := report.ReadBaseline(file); err == nil {
			t.Errorf("%q: %+v", content, b)
		}
	}
}
