package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Markdown writes environment and tables for people.
func (r *Run) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measured on %s\n\n", r.Environment.Time.Format(time.DateOnly))
	for _, line := range r.machine() {
		fmt.Fprintf(&b, "* %s\n", line)
	}
	if explained := r.explained(); len(explained) > 0 {
		b.WriteString("\n| | |\n|---|---|\n")
		for _, c := range explained {
			fmt.Fprintf(&b, "| %s | %s |\n", c.Label, c.What)
		}
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.Title, s.About)
		for _, t := range s.Tables {
			t.markdown(&b)
		}
		s.ratios(&b)
		for _, f := range s.Drawn() {
			fmt.Fprintf(&b, "\n![%s](%s)\n", f.Title, s.file(f)+".svg")
		}
		if len(s.Notes) > 0 {
			b.WriteString("\n")
		}
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "* %s\n", n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s\n\n| |", t.Title)
	for _, c := range t.Columns {
		fmt.Fprintf(b, " %s |", t.head(c))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(t.Columns)) + "\n")
	for _, row := range t.Rows {
		fmt.Fprintf(b, "| %s |", row.Label)
		for _, c := range t.Columns {
			cell := t.cell(row, c)
			text := cell.Text
			if cell.Ratio != "" {
				text += " (" + cell.Ratio + ")"
			}
			fmt.Fprintf(b, " %s |", text)
		}
		b.WriteString("\n")
	}
	for _, line := range []string{t.legend(), t.noise()} {
		if line != "" {
			fmt.Fprintf(b, "\n%s\n", line)
		}
	}
}

// ratios writes those that have a goal.
func (s *Section) ratios(b *strings.Builder) {
	goals := s.goals()
	if len(goals) == 0 {
		return
	}
	b.WriteString("\n### Goals\n\n| | measured | goal | |\n|---|---:|---:|---|\n")
	for _, r := range goals {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", r.label(), r.Unit.Format(r.Value), r.limit(), r.verdict())
	}
}

// goals are the ratios that have one.
func (s *Section) goals() []Ratio {
	return slices.DeleteFunc(slices.Clone(s.Ratios), func(r Ratio) bool { return r.Goal == 0 })
}

func (r Ratio) limit() string {
	if r.Higher {
		return "≥ " + r.Unit.Format(r.Goal)
	}
	return "≤ " + r.Unit.Format(r.Goal)
}

func (r Ratio) verdict() string {
	if r.Met() {
		return "reached"
	}
	return "not reached"
}

// machine describes what was measured on, a line for each thing.
func (r *Run) machine() []string {
	e := r.Environment
	virtual := ""
	if e.Virtual {
		virtual = ", a virtual machine"
	}
	lines := []string{
		fmt.Sprintf("%d × %s%s, %.0f GiB, Linux %s, cgroup %s", e.Cores, e.CPU, virtual, float64(e.Memory)/(1<<30), e.Kernel, e.Cgroup),
	}
	versions := []string{e.Go}
	for _, name := range slices.Sorted(maps.Keys(e.Versions)) {
		versions = append(versions, name+" "+e.Versions[name])
	}
	lines = append(lines, strings.Join(versions, ", "))
	load := fmt.Sprintf("load %.2f before, %.2f after, %.1f %% of the CPU time stolen", e.LoadBefore, e.LoadAfter, 100*e.Steal)
	if why := e.Noisy(); why != "" {
		load += "; **the machine was noisy**: " + why
	}
	lines = append(lines, load)
	if len(r.Settings) > 0 {
		var flags []string
		for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
			flags = append(flags, "-"+name+" "+r.Settings[name])
		}
		lines = append(lines, "run with "+strings.Join(flags, " "))
	}
	return lines
}
