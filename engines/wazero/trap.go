package wazero

import (
	"regexp"
	"strings"
	"sync"

	"blazar/engines"
	"blazar/engines/internal/report"
)

// trapKinds maps wazero's texts (internal/wasmruntime/errors.go) to ours.
var trapKinds = map[string]string{
	"unreachable":                   engines.TrapUnreachable,
	"out of bounds memory access":   engines.TrapMemory,
	"invalid table access":          engines.TrapTable, // null elements too: wazero does not tell them apart
	"indirect call type mismatch":   engines.TrapSignature,
	"integer divide by zero":        engines.TrapDivideByZero,
	"integer overflow":              engines.TrapOverflow,
	"invalid conversion to integer": engines.TrapConversion,
	"stack overflow":                engines.TrapStackOverflow,
}

// patterns find what wazero's errors say.
type patterns struct{ trap, firstFrame, indexOnly *regexp.Regexp }

// texts are compiled at the first trap: a process that starts has no time for them.
var texts = sync.OnceValue(func() patterns {
	return patterns{
		// wazero's name of the trap; the compiler reports a stack overflow bare,
		// everything else comes with a prefix.
		trap: regexp.MustCompile(`(?:^|wasm error: )(stack overflow)$|wasm error: ([^\n]+)`),
		// The innermost function. Its name may contain anything, so the signature that
		// wazero appends is matched from its end.
		firstFrame: regexp.MustCompile(`(?s)\nwasm stack trace:\n\t(.*?)\((?:[a-z0-9]+(?:,[a-z0-9]+)*)?\)(?: [a-z0-9]+| \([a-z0-9,]+\))?(?:\n|$)`),
		// How wazero names a function without a name.
		indexOnly: regexp.MustCompile(`^\$(\d+)$`),
	}
})

// asTrap makes a Trap of an error that wazero returned for a guest's own failure,
// nil where the error is of another sort. module is the module's name in its
// name section, which wazero puts before every function's.
func asTrap(err error, module string) *engines.Trap {
	text := err.Error()
	found := texts().trap.FindStringSubmatch(text)
	kind := ""
	switch {
	case found != nil:
		name := found[1] + found[2]
		if kind = trapKinds[name]; kind == "" {
			kind = engines.TrapUnknown
		}
	case strings.HasSuffix(text, "]: out of bounds memory access"):
		kind = engines.TrapMemory // a data segment, at instantiation
	case strings.HasSuffix(text, "]: out of bounds table access"):
		kind = engines.TrapTable // an element segment
	default:
		return nil
	}
	return &engines.Trap{Kind: kind, Function: innermost(text, module), Message: report.Message(text)}
}

// innermost is the name of the function that trapped, func[N] where it has none.
func innermost(text, module string) string {
	found := texts().firstFrame.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	name := strings.TrimPrefix(found[1], module+".")
	if index := texts().indexOnly.FindStringSubmatch(name); index != nil {
		return "func[" + index[1] + "]"
	}
	return report.Function(name)
}
