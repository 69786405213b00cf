package report

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMessage(t *testing.T) {
	for in, want := range map[string]string{
		"wasm `f`\n\tat g":          "wasm `f`\n\tat g",
		"\x1b[2Jx\r\x00":            "?[2Jx??",
		"a\xffb":                    "ab",
		strings.Repeat("x", 10_000): strings.Repeat("x", MaxMessage) + "…",
		strings.Repeat("é", 10_000): strings.Repeat("é", MaxMessage/2) + "…",
	} {
		if got := Message(in); got != want {
			t.Errorf("%.40q became %.40q, want %.40q", in, got, want)
		}
	}
}

func TestFunction(t *testing.T) {
	if got := Function("a\nb\tc\x1b"); got != "a?b?c?" {
		t.Errorf("got %q", got)
	}
	if got := Function(strings.Repeat("é", 1000)); len(got) > maxName+len("…") || !utf8.ValidString(got) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestOutOfMemory(t *testing.T) {
	for want, n := range map[string][2]uint64{
		"out of memory: 3 MiB of linear memory needed, the limit is 2 MiB":          {3 << 20, 2 << 20},
		"out of memory: 640 KiB of linear memory needed, the limit is 655359 bytes": {640 << 10, 640<<10 - 1},
	} {
		if got := OutOfMemory(n[0], n[1]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
