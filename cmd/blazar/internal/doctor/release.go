package doctor

import (
	"strconv"
	"strings"
)

// release is the beginning of a version number: 6.18 of "6.18.5-amd64", 2.4 of
// "v2.4.2+unknown".
type release struct{ major, minor int }

// parseRelease reads the first two numbers; false if there are none.
func parseRelease(s string) (release, bool) {
	major, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "v"), ".")
	if !ok {
		return release{}, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(rest[:end])
	return release{a, b}, err1 == nil && err2 == nil
}

func (r release) atLeast(major, minor int) bool {
	return r.major > major || r.major == major && r.minor >= minor
}

func (r release) String() string { return strconv.Itoa(r.major) + "." + strconv.Itoa(r.minor) }
