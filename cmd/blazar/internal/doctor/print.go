package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// JSON writes the report for programs.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Text writes the report for people: a line per result, what to do below it, and
// the matrix of the engines.
func (r Report) Text(w io.Writer) error {
	var b strings.Builder
	width := 0
	for _, one := range r.Results {
		width = max(width, len(one.Check))
	}
	count := map[Level]int{}
	for _, one := range r.Results {
		count[one.Level]++
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", one.Level, width, one.Check, oneLine(one.Found))
		if one.Remedy != "" {
			fmt.Fprintf(&b, "%*s-> %s\n", width+8, "", oneLine(one.Remedy))
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d to look at, %d failed\n", count[OK], count[Warn], count[Fail])
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return r.engineTable(w)
}

// engineTable writes one row per capability, one column per engine.
func (r Report) engineTable(w io.Writer) error {
	if len(r.Engines) == 0 {
		return nil
	}
	rows := map[string]bool{}
	header, versions := "\nengine", "version"
	for _, e := range r.Engines {
		header += "\t" + e.Name
		versions += "\t" + e.Version
		for c := range e.Capabilities {
			rows[c] = true
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, header)   // a tabwriter's errors come out of Flush
	_, _ = fmt.Fprintln(t, versions) // likewise
	for _, c := range slices.Sorted(maps.Keys(rows)) {
		line := c
		for _, e := range r.Engines {
			v := e.Capabilities[c]
			if v == "" {
				v = "no"
			}
			line += "\t" + oneLine(v)
		}
		_, _ = fmt.Fprintln(t, line) // likewise
	}
	return t.Flush()
}

// oneLine keeps a text from another program within its cell.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
