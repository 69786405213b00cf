package testneeds

import (
	"fmt"
	"testing"
)

// recorder is a test that notes how it was ended instead of ending.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}
func (r *recorder) Skipf(format string, args ...any) {
	r.said = "skip: " + fmt.Sprintf(format, args...)
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.said = "fail: " + fmt.Sprintf(format, args...)
}

func TestFile(t *testing.T) {
	for _, c := range []struct{ path, only, want string }{
		{"/", "", ""},
		{"/nothing", "", "fail: needs /nothing (make it); set UNIT_ONLY=1 to go without"},
		{"/nothing", "0", "fail: needs /nothing (make it); set UNIT_ONLY=1 to go without"},
		{"/nothing", "1", "skip: needs /nothing (make it), and UNIT_ONLY=1 allows to go without"},
	} {
		t.Setenv(Only, c.only)
		r := &recorder{TB: t}
		File(r, c.path, "make it")
		if r.said != c.want {
			t.Errorf("%s with %q: %q, expected %q", c.path, c.only, r.said, c.want)
		}
	}
}

func TestNoError(t *testing.T) {
	t.Setenv(Only, "1")
	r := &recorder{TB: t}
	NoError(r, nil)
	if r.said != "" {
		t.Errorf("without an error: %q", r.said)
	}
	NoError(r, fmt.Errorf("no library"))
	if want := "skip: needs no library, and UNIT_ONLY=1 allows to go without"; r.said != want {
		t.Errorf("%q, expected %q", r.said, want)
	}
}
