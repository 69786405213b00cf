// Package report words for people what engines find, the same for every engine:
// texts that contain a guest's own names are bounded, and hold nothing that a
// terminal would obey.
package report

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/containerd/errdefs"
)

// MaxMessage bounds an engine's text in bytes: names in it are the guest's and of
// any length.
const MaxMessage = 8 << 10

// maxName bounds a function's name in bytes.
const maxName = 256

// Message makes an engine's text fit to be shown: at most MaxMessage bytes,
// without what a terminal would obey. Lines and tabs stay.
func Message(s string) string { return printable(s, MaxMessage) }

// Function makes a guest's name of a function fit for the middle of a line.
func Function(name string) string {
	return strings.NewReplacer("\n", "?", "\t", "?").Replace(printable(name, maxName))
}

// FunctionIndex names a function that has no name.
func FunctionIndex(index uint32) string { return fmt.Sprintf("func[%d]", index) }

// OutOfMemory says that a guest's linear memories would need asked bytes in all.
func OutOfMemory(asked, limit uint64) string {
	return fmt.Sprintf("out of memory: %s of linear memory needed, the limit is %s", Size(asked), Size(limit))
}

// LimitBelow is the error of a memory limit below what a guest has; nil if it is
// none, or no limit at all.
func LimitBelow(limit, used uint64) error {
	if limit == 0 || limit >= used {
		return nil
	}
	return fmt.Errorf("memory limit of %s: the guest has %s of linear memory already, which it cannot give back: %w",
		Size(limit), Size(used), errdefs.ErrFailedPrecondition)
}

// Size prints n bytes in the largest unit that keeps it exact.
func Size(n uint64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

func printable(s string, most int) string {
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "")) + cut
}
