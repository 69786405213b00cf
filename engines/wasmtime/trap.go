//go:build cgo

package wasmtime

import "blazar/engines"

// trapKinds maps wasmtime_trap_code_t (wasmtime/trap.h) to the words that all
// engines share.
var trapKinds = map[int]string{
	0: engines.TrapStackOverflow,
	1: engines.TrapMemory,
	3: engines.TrapTable,
	4: engines.TrapIndirectNull,
	5: engines.TrapSignature,
	6: engines.TrapOverflow,
	7: engines.TrapDivideByZero,
	8: engines.TrapConversion,
	9: engines.TrapUnreachable,
}

// trapKind is the kind of a trap, false where it is none of the guest's own:
// Wasmtime reports what host functions unwind with as a trap without a code.
func trapKind(trapped bool, code int) (string, bool) {
	if !trapped || code < 0 {
		return "", false
	}
	if k, ok := trapKinds[code]; ok {
		return k, true
	}
	return engines.TrapUnknown, true
}
