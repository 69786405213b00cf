package wazero

import (
	"errors"
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/internal/report"
)

func TestAsTrap(t *testing.T) {
	const stack = "\nwasm stack trace:\n\t"
	for name, c := range map[string]struct{ text, kind, function string }{
		"Named":         {"wasm error: unreachable" + stack + ".boom()\n\t._start()", engines.TrapUnreachable, "boom"},
		"ModuleName":    {"wasm error: unreachable" + stack + "app.boom(i32,i64) f32", engines.TrapUnreachable, "boom"},
		"Results":       {"wasm error: unreachable" + stack + ".boom(i32) (i32,i32)\n\t.x()", engines.TrapUnreachable, "boom"},
		"Index":         {"wasm error: integer overflow" + stack + ".$12(i32)", engines.TrapOverflow, "func[12]"},
		"GoMethod":      {"wasm error: unreachable" + stack + ".main.(*T).Do(i32) i32\n\t.y()", engines.TrapUnreachable, "main.(*T).Do"},
		"Start":         {"start function[3] failed: wasm error: integer divide by zero" + stack + ".f()", engines.TrapDivideByZero, "f"},
		"StackOverflow": {"stack overflow", engines.TrapStackOverflow, ""},
		"Interpreted":   {"wasm error: stack overflow" + stack + ".f()", engines.TrapStackOverflow, "f"},
		"Data":          {"data[0]: out of bounds memory access", engines.TrapMemory, ""},
		"Unknown":       {"wasm error: uncaught exception" + stack + ".f()", engines.TrapUnknown, "f"},
		"NotATrap":      {"module closed with context canceled", "", ""},
		"HostPanic":     {"runtime error: invalid memory address (recovered by wazero)" + stack + ".f()", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			module := ""
			if name == "ModuleName" {
				module = "app"
			}
			got := asTrap(errors.New(c.text), module)
			if c.kind == "" {
				if got != nil {
					t.Errorf("got the trap %v", got)
				}
				return
			}
			if got == nil || got.Kind != c.kind || got.Function != c.function {
				t.Errorf("got %+v, want %s in %q", got, c.kind, c.function)
			}
		})
	}
}

func FuzzAsTrap(f *testing.F) {
	f.Add("wasm error: unreachable\nwasm stack trace:\n\t.boom()\n\t._start()", "m")
	f.Add("wasm error: x\nwasm stack trace:\n\t\x1b[2J\xff(i32) (i32)", "")
	f.Fuzz(func(t *testing.T, text, module string) {
		trap := asTrap(errors.New(text), module)
		if trap == nil {
			return
		}
		if strings.ContainsAny(trap.Function, "\n\x1b") || strings.ContainsAny(trap.Message, "\x1b\r") || len(trap.Message) > report.MaxMessage+4 {
			t.Errorf("%q, %q", trap.Function, trap.Message)
		}
	})
}
