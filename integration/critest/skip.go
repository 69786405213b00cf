package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// skip is a line of the list: what is left out, and why.
type skip struct {
	re     *regexp.Regexp
	reason string
	line   int
}

// readSkips reads a list: a regular expression, " # " and the reason in each line. Lines
// that start with # are comments.
func readSkips(path string) ([]skip, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var skips []skip
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		expression, reason, found := strings.Cut(line, " # ")
		if !found || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s:%d: no reason", path, n)
		}
		re, err := regexp.Compile(strings.TrimSpace(expression))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		skips = append(skips, skip{re: re, reason: strings.TrimSpace(reason), line: n})
	}
	return skips, scanner.Err()
}
