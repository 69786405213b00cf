package wasitestsuite

import (
	"reflect"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	a := &Table{}
	a.Set("one", "c/x", true)
	a.Set("two", "c/x", false)
	a.Set("one", "c/y", true)
	text := "# Title\n\n| other | table |\n\n" + a.Markdown() + "\nwords\n"
	for _, line := range []string{"| case | one | two |", "| passed | 2 of 2 | 0 of 1 |", "| c/x | ok | FAIL |", "| c/y | ok |  |"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	b := ParseTable(text)
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("wrote %+v, read %+v", a, b)
	}
	if d := a.Difference(b); d != nil {
		t.Errorf("it differs from itself: %q", d)
	}
	got := &Table{}
	got.Set("two", "c/x", true)
	got.Set("two", "c/z", true)
	if d := a.Difference(got); len(d) != 2 || d[0] != "c/x on two: ok, in the table FAIL" || d[1] != "c/z on two: ok, in the table not run" {
		t.Errorf("got %q", d)
	}
	got = &Table{}
	got.Set("one", "c/x", true)
	if d := a.Difference(got); len(d) != 1 || d[0] != "c/y on one: not run, in the table ok" {
		t.Errorf("got %q", d)
	}
}
