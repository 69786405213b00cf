package wazero

import (
	"fmt"
	"math"

	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// tableBudget bounds the elements of all tables of a module together. wazero
// keeps tables on the Go heap at 8 bytes an element, where no memory limit of
// the guest reaches them.
const tableBudget = 1 << 20

// instrumentation names what instrument does; part of the cache key.
const instrumentation = "calls+tables+names-1"

// emptyLoop is `loop end`, which does nothing but carry wazero's termination check.
var emptyLoop = []byte{0x03, 0x40, 0x0b}

// instrument rewrites a core module so that wazero can always end it, its tables
// stay small, and nothing is kept that no one reads.
//
// wazero looks whether it should stop in loops only. A guest that recurses or
// calls through a deep graph without a loop (2^n calls) could be neither killed
// nor suspended by Go's garbage collector, which would stop the process. So
// every function that may call another one starts with an empty loop. Functions
// that call nothing run for a bounded time and stay as they are.
//
// The input need not be valid: what is malformed in a way that matters here is an
// error, everything else is left for wazero's validation to refuse.
func instrument(module []byte, sections []wasmbin.Section) ([]byte, error) {
	out := make([]byte, 0, len(module)+len(module)/16)
	out = append(out, module[:wasmbin.HeaderSize]...)
	budget := uint64(tableBudget)
	for _, s := range sections {
		body, err := s.Body, error(nil)
		switch s.ID {
		case wasmbin.SectionCustom:
			if body = usefulNames(body); body == nil {
				continue
			}
		case wasmbin.SectionCode:
			body, err = checkCalls(body)
		case wasmbin.SectionTable:
			body, err = boundTables(body, &budget)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s.ID)
		out = wasmbin.AppendU32(out, uint32(len(body)))
		out = append(out, body...)
	}
	return out, nil
}

// checkCalls rewrites the code section.
func checkCalls(section []byte) ([]byte, error) {
	r := wasmbin.Reader{Rest: section}
	count := vector(&r)
	out := wasmbin.AppendU32(make([]byte, 0, len(section)+len(section)/16), count)
	for i := uint32(0); i < count && r.Err == nil; i++ {
		body := r.Bytes(r.U32())
		code := wasmbin.Reader{Rest: body}
		if err := checkLocals(&code); err != nil {
			return nil, fmt.Errorf("code of function %d: %w", i, err)
		}
		if !mayCall(code.Rest) {
			out = wasmbin.AppendU32(out, uint32(len(body)))
			out = append(out, body...)
			continue
		}
		out = wasmbin.AppendU32(out, uint32(len(body)+len(emptyLoop)))
		out = append(out, body[:len(body)-len(code.Rest)]...)
		out = append(out, emptyLoop...)
		out = append(out, code.Rest...)
	}
	if r.Err != nil {
		return nil, fmt.Errorf("code section: %w", r.Err)
	}
	return append(out, r.Rest...), nil
}

// mayCall reports whether the instructions contain a call of any sort. It looks
// for the opcodes' byte values anywhere, immediates included: that errs on the
// safe side only, and needs no decoder for every instruction.
func mayCall(code []byte) bool {
	for _, b := range code {
		if b >= 0x10 && b <= 0x15 { // call, call_indirect, return_call…, call_ref, return_call_ref
			return true
		}
	}
	return false
}

// boundTables rewrites the table section: every table gets a maximum, and what
// all may grow to together stays within the budget.
func boundTables(section []byte, budget *uint64) ([]byte, error) {
	type table struct {
		elem     byte
		min, max uint64
	}
	r := wasmbin.Reader{Rest: section}
	var tables []table
	for n := r.U32(); n > 0 && r.Err == nil; n-- {
		t := table{elem: r.Byte(), max: math.MaxUint32}
		flags := r.Byte()
		if t.elem != 0x70 && t.elem != 0x6f || flags > 1 {
			return section, nil // of a proposal that is off: wazero refuses it by name
		}
		t.min = uint64(r.U32())
		if flags == 1 {
			t.max = uint64(r.U32())
			if t.max < t.min {
				return section, nil
			}
		}
		if t.min > *budget {
			return nil, fmt.Errorf("the module's tables have more than %d elements, which is the limit of the engine wazero: %w",
				tableBudget, errdefs.ErrInvalidArgument)
		}
		*budget -= t.min
		tables = append(tables, t)
	}
	if r.Err != nil {
		return nil, fmt.Errorf("table section: %w", r.Err)
	}
	out := wasmbin.AppendU32(nil, uint32(len(tables)))
	share := *budget / uint64(max(len(tables), 1))
	for _, t := range tables {
		growth := min(t.max-t.min, share)
		*budget -= growth
		out = append(out, t.elem, 1)
		out = wasmbin.AppendU64(out, t.min)
		out = wasmbin.AppendU64(out, t.min+growth)
	}
	return append(out, r.Rest...), nil
}
