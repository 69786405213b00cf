package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	// ImportPath is that of build output, as in "blazar/x [blazar/x.test]".
	ImportPath string
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// counter follows the events of packages and tests.
type counter struct {
	out                     io.Writer
	passed, failed, skipped int

	output  map[string][]string // of tests and, by package, of what is outside them
	parents map[string]bool     // tests that have subtests, by package and name
	reasons []string            // of skipped tests
	failing []string
}

func newCounter(out io.Writer) *counter {
	return &counter{out: out, output: map[string][]string{}, parents: map[string]bool{}}
}

// read follows a stream of events to its end.
func (c *counter) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			c.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *counter) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		_, _ = c.out.Write(line) // what the go command says itself
		return
	}
	key := e.Package + "\t" + e.Test
	switch e.Action {
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			c.parents[e.Package+"\t"+e.Test[:i]] = true
		}
	case "output":
		c.output[key] = append(c.output[key], e.Output)
	case "build-output":
		c.printf("%s", e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.packageEnds(e)
		} else {
			c.testEnds(key, e)
		}
	}
}

func (c *counter) testEnds(key string, e event) {
	if e.Action == "fail" {
		c.printf("--- FAIL: %s %s\n%s", e.Package, e.Test, strings.Join(c.output[key], ""))
	}
	leaf := !c.parents[key]
	switch {
	case e.Action == "fail" && leaf:
		c.failed++
		c.failing = append(c.failing, e.Package+" "+e.Test)
	case e.Action == "pass" && leaf:
		c.passed++
	case e.Action == "skip" && leaf:
		c.skipped++
		c.reasons = append(c.reasons, e.Package+" "+e.Test+": "+reason(c.output[key]))
	}
	delete(c.output, key)
}

// packageEnds prints a package's line. A package that failed with no failed test did
// not build, died, or failed in its TestMain.
func (c *counter) packageEnds(e event) {
	if e.Action == "fail" {
		named := false
		for _, f := range c.failing {
			named = named || strings.HasPrefix(f, e.Package+" ")
		}
		if !named {
			c.failed++
			c.failing = append(c.failing, e.Package)
		}
		// Tests that were running when the process died have not ended.
		for key, output := range c.output {
			if strings.HasPrefix(key, e.Package+"\t") {
				c.printf("%s", strings.Join(output, ""))
				delete(c.output, key)
			}
		}
	}
	delete(c.output, e.Package+"\t")
	word := map[string]string{"pass": "ok  ", "fail": "FAIL", "skip": "?   "}[e.Action]
	c.printf("%s\t%s\t%.1fs\n", word, e.Package, e.Elapsed)
}

// reason is the last thing a skipped test said.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		if s := strings.TrimSpace(output[i]); s != "" && !strings.HasPrefix(s, "---") && !strings.HasPrefix(s, "===") {
			return s
		}
	}
	return "no reason given"
}

// summary prints what is worth a second look, and the line that ends everything.
func (c *counter) summary() {
	for _, r := range c.reasons {
		c.printf("skipped: %s\n", r)
	}
	for _, f := range c.failing {
		c.printf("failed: %s\n", f)
	}
	c.printf("%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
}

func (c *counter) printf(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format, args...) }
