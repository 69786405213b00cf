package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// spec is one of critest's, as ginkgo's JSON report has it (types.SpecReport).
type spec struct {
	ContainerHierarchyTexts []string
	LeafNodeType            string
	LeafNodeText            string
	State                   string
	RunTime                 int64 // nanoseconds
	Failure                 struct{ Message string }
}

// text is what ginkgo matches its regular expressions with.
func (s *spec) text() string {
	return strings.Join(append(slices.Clone(s.ContainerHierarchyTexts), s.LeafNodeText), " ")
}

// readReport returns the specs, without ginkgo's nodes before and after them.
func readReport(path string) ([]spec, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var suites []struct{ SpecReports []spec }
	if err := json.Unmarshal(b, &suites); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var specs []spec
	for _, s := range suites {
		for _, r := range s.SpecReports {
			if r.LeafNodeType == "It" && !strings.Contains(r.text(), "benchmark") {
				specs = append(specs, r)
			}
		}
	}
	slices.SortFunc(specs, func(a, b spec) int { return strings.Compare(a.text(), b.text()) })
	return specs, nil
}

// judge prints what the list left out and what a spec skipped of its own accord, and
// returns an error for a failed spec and for a line that names none.
func judge(w io.Writer, specs []spec, skips []skip) error {
	counts := map[string]int{}
	var bad []string
	for i := range specs {
		s := &specs[i]
		counts[s.State]++
		if s.State == "skipped" && !matches(skips, s.text()) {
			fmt.Fprintf(w, "critest skipped by itself: %s\n    %s\n", s.text(), s.Failure.Message)
			counts["by itself"]++
		}
		switch s.State {
		case "passed", "skipped", "pending":
		default:
			bad = append(bad, fmt.Sprintf("%s: %s", s.State, s.text()))
		}
	}
	for _, k := range skips {
		n := 0
		for i := range specs {
			if k.re.MatchString(specs[i].text()) {
				n++
			}
		}
		fmt.Fprintf(w, "left out by the list, %d: %s\n    %s\n", n, k.re, k.reason)
		if n == 0 {
			bad = append(bad, fmt.Sprintf("line %d of the skip list names no spec: %s", k.line, k.re))
		}
	}
	fmt.Fprintf(w, "%d specs: %d passed, %d skipped (%d by themselves)\n",
		len(specs), counts["passed"], counts["skipped"]+counts["pending"], counts["by itself"])
	if len(bad) > 0 {
		return fmt.Errorf("%d problems:\n%s", len(bad), strings.Join(bad, "\n"))
	}
	if counts["passed"] == 0 {
		return fmt.Errorf("no spec was run")
	}
	return nil
}

func matches(skips []skip, text string) bool {
	return slices.ContainsFunc(skips, func(k skip) bool { return k.re.MatchString(text) })
}

// writeReport writes a line for each spec.
func writeReport(path string, specs []spec) error {
	var b strings.Builder
	for i := range specs {
		fmt.Fprintf(&b, "%-8s %6.1fs  %s\n", specs[i].State, float64(specs[i].RunTime)/1e9, specs[i].text())
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
