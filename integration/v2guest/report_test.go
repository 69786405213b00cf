package v2guest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// report is what the tests in the machine said, suite by suite.
type report struct{ suites []*suiteRun }

type suiteRun struct {
	name   string
	ended  bool
	code   int
	output []string
	tests  []*testRun
}

type testRun struct {
	name   string
	passed bool
	output []string
}

// Lines of the init process between which a suite speaks, and those of `go test -v`.
var (
	beginLine = regexp.MustCompile(`^@@begin (\S+)$`)
	endLine   = regexp.MustCompile(`^@@end (\S+) (\d+)$`)
	runLine   = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\S+)$`)
	doneLine  = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
)

func parse(output string) *report {
	r := &report{}
	var s *suiteRun
	said := map[string][]string{}
	var now string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if m := beginLine.FindStringSubmatch(line); m != nil {
			s, said, now = &suiteRun{name: m[1]}, map[string][]string{}, ""
			r.suites = append(r.suites, s)
			continue
		}
		if s == nil {
			continue
		}
		s.output = append(s.output, line)
		switch m := endLine.FindStringSubmatch(line); {
		case m != nil:
			s.ended = true
			s.code, _ = strconv.Atoi(m[2]) // digits
			s = nil
		case runLine.MatchString(line):
			now = runLine.FindStringSubmatch(line)[1]
		case doneLine.MatchString(line):
			d := doneLine.FindStringSubmatch(line)
			now = d[2]
			// A test that is skipped within proves nothing either.
			s.tests = append(s.tests, &testRun{name: d[2], passed: d[1] == "PASS", output: append(said[d[2]], line)})
		default:
			said[now] = append(said[now], line)
			// What follows the line of a test that has ended is about it too.
			if i := slices.IndexFunc(s.tests, func(t *testRun) bool { return t.name == now }); i >= 0 {
				s.tests[i].output = append(s.tests[i].output, line)
			}
		}
	}
	return r
}

// missing are those of the suites that did not run to their end.
func (r *report) missing(want []suite) (names []string) {
	for _, w := range want {
		if !slices.ContainsFunc(r.suites, func(s *suiteRun) bool { return s.name == w.name && s.ended }) {
			names = append(names, w.name)
		}
	}
	return names
}
