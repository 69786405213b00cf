package difftest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Compare runs p on all contestants and returns how each one's outcome differs from
// the first's, which is returned too.
func Compare(t testing.TB, all []Contestant, p *Program) (first *Outcome, differences []string) {
	t.Helper()
	for _, c := range all {
		o := Run(t, c, p)
		if first == nil {
			first = o
			continue
		}
		for _, d := range first.Difference(o) {
			differences = append(differences, fmt.Sprintf("%s against %s: %s", c.Name, all[0].Name, d))
		}
	}
	return first, differences
}

// Difference says in what o is not like want.
func (want *Outcome) Difference(o *Outcome) []string {
	var out []string
	add := func(what, is, was string) {
		if is != was {
			out = append(out, fmt.Sprintf("%s is %s, not %s", what, around(is, was), around(was, is)))
		}
	}
	add("the end", o.End, want.End)
	add("stdout", o.Stdout, want.Stdout)
	add("stderr", o.Stderr, want.Stderr)
	names := slices.Sorted(maps.Keys(want.Files))
	for name := range o.Files {
		if _, ok := want.Files[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		was, ok1 := want.Files[name]
		is, ok2 := o.Files[name]
		if ok1 != ok2 {
			out = append(out, fmt.Sprintf("file %s is there: %v, not %v", name, ok2, ok1))
			continue
		}
		add("file "+name, is, was)
	}
	return out
}

// around quotes the part of s where it begins to differ from other.
func around(s, other string) string {
	const before, after = 16, 32
	at := 0
	for at < len(s) && at < len(other) && s[at] == other[at] {
		at++
	}
	from, to := max(0, at-before), min(len(s), at+after)
	text := fmt.Sprintf("%q", s[from:to])
	if from > 0 || to < len(s) {
		text = fmt.Sprintf("%s (of %d bytes, from byte %d)", text, len(s), from)
	}
	return strings.ToValidUTF8(text, "?")
}
