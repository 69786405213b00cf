package wasitestsuite

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Table says which cases pass on which engines.
type Table struct {
	// Engines are the columns, in order.
	Engines []string
	// Passed has an entry for every case that was run, by case and engine.
	Passed map[string]map[string]bool
}

// Words in a cell.
const (
	wordPassed = "ok"
	wordFailed = "FAIL"
)

// Set enters a result.
func (t *Table) Set(engine, name string, passed bool) {
	if t.Passed == nil {
		t.Passed = map[string]map[string]bool{}
	}
	if !slices.Contains(t.Engines, engine) {
		t.Engines = append(t.Engines, engine)
	}
	if t.Passed[name] == nil {
		t.Passed[name] = map[string]bool{}
	}
	t.Passed[name][engine] = passed
}

// Markdown is the table with a line that counts.
func (t *Table) Markdown() string {
	names := make([]string, 0, len(t.Passed))
	for name := range t.Passed {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	row := func(first string, cell func(engine string) string) {
		b.WriteString("| " + first)
		for _, e := range t.Engines {
			b.WriteString(" | " + cell(e))
		}
		b.WriteString(" |\n")
	}
	row("case", func(e string) string { return e })
	row("---", func(string) string { return "---" })
	row("passed", func(e string) string {
		passed, all := 0, 0
		for _, name := range names {
			if ok, run := t.Passed[name][e]; run {
				all++
				if ok {
					passed++
				}
			}
		}
		return fmt.Sprintf("%d of %d", passed, all)
	})
	for _, name := range names {
		row(name, func(e string) string {
			switch ok, run := t.Passed[name][e]; {
			case !run:
				return ""
			case ok:
				return wordPassed
			}
			return wordFailed
		})
	}
	return b.String()
}

// ParseTable reads the table that text has in it, as Markdown wrote it.
func ParseTable(text string) *Table {
	t := &Table{}
	var engines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") || !strings.HasSuffix(line, " |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[0] == "case" {
			engines = cells[1:]
		}
		for i, c := range cells[1:] {
			if i < len(engines) && (c == wordPassed || c == wordFailed) {
				t.Set(engines[i], cells[0], c == wordPassed)
			}
		}
	}
	return t
}

// Difference lists where got differs from t, as far as got goes: cases that t does
// not know, or knows otherwise, and those of t's that were not run.
func (t *Table) Difference(got *Table) []string {
	var out []string
	word := func(passed, run bool) string {
		switch {
		case !run:
			return "not run"
		case passed:
			return wordPassed
		}
		return wordFailed
	}
	names := map[string]bool{}
	for _, x := range []*Table{t, got} {
		for name := range x.Passed {
			names[name] = true
		}
	}
	for name := range names {
		for _, e := range got.Engines {
			was, wasRun := t.Passed[name][e]
			is, isRun := got.Passed[name][e]
			if was != is || wasRun != isRun {
				out = append(out, fmt.Sprintf("%s on %s: %s, in the table %s", name, e, word(is, isRun), word(was, wasRun)))
			}
		}
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}
