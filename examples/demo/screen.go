package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/containerd/console"

	"blazar/examples/show"
)

// screen prints for people: in colour on a terminal, plain elsewhere and where
// NO_COLOR is set (https://no-color.org).
type screen struct {
	w      io.Writer
	colour bool
}

func newScreen(f *os.File) *screen {
	_, err := console.ConsoleFromFile(f)
	return &screen{w: f, colour: err == nil && os.Getenv("NO_COLOR") == ""}
}

// SGR codes (ECMA-48).
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
)

func (s *screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

// step does something and prints how long it took.
func (s *screen) step(what string, do func() error) error {
	start := time.Now()
	err := do()
	if err != nil {
		s.say("  %-58s %s", what, s.paint(red, "failed"))
		return err
	}
	s.say("  %-58s %6.1f s", what, time.Since(start).Seconds())
	return nil
}

func (s *screen) heading(name, about string) {
	s.say("\n%s  %s", s.paint(bold, name), s.paint(faint, about))
}

func (s *screen) failure(text string) { s.block(s.paint(red, "✗"), text) }

// result prints a container's log and how it ended.
func (s *screen) result(r *show.Result, several bool) {
	if several {
		s.say("  container %s", r.Container)
	}
	s.block("│", r.Log)
	if r.Did != "" {
		s.block("→", r.Did)
	}
	mark := s.paint(green, "✓")
	if r.Wrong != "" {
		mark = s.paint(red, "✗ "+r.Wrong+":")
	}
	ended := fmt.Sprintf("exit code %d", r.ExitCode)
	if r.Reason != "" {
		ended += " (" + r.Reason + ")"
	}
	ended += fmt.Sprintf(", cold start %.1f ms%s (the first, %.1f ms)", milliseconds(r.ColdStart), slow(r), milliseconds(r.FirstStart))
	s.say("  %s %s", mark, ended)
}

// longestLog is how many lines of a log are shown.
const longestLog = 12

func (s *screen) block(margin, text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if over := len(lines) - longestLog; over > 0 {
		half := longestLog / 2
		lines = append(append(lines[:half:half], fmt.Sprintf("… %d lines …", over)), lines[half+over:]...)
	}
	for _, line := range lines {
		s.say("  %s %s", s.paint(faint, margin), line)
	}
}

// table sums up.
func (s *screen) table(results []show.Result) {
	s.say("")
	w := tabwriter.NewWriter(s.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POD\tCONTAINER\tEXIT\tREASON\tFIRST START\tCOLD START")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.1f ms\t%.1f ms%s\n", r.Example, r.Container, r.ExitCode, r.Reason,
			milliseconds(r.FirstStart), milliseconds(r.ColdStart), slow(&r))
	}
	_ = w.Flush()
	s.say("%s", s.paint(faint, "Cold start: RunPodSandbox, CreateContainer and StartContainer to the first byte in the log."))
	s.say("%s", s.paint(faint, "*: to the answer of StartContainer; a pod's second container from its CreateContainer on."))
	s.say("%s", s.paint(faint, "The first start of an image on a node may include compiling its module, once."))
	s.say("")
}

// slow marks a time that does not end with the first byte.
func slow(r *show.Result) string {
	if r.Slow {
		return "*"
	}
	return ""
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
