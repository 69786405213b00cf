package wazero

import (
	"fmt"

	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"
)

// callsPerCheck is how many calls a guest makes between two looks at whether it
// shall end. A look leaves the native code and costs as much as tens of calls;
// what happens between two looks is bounded by it times the length of a function.
const callsPerCheck = 128

// callCounter makes a module look whether it shall end as it calls.
//
// wazero looks in loops only. A guest that recurses, or calls through a deep graph
// (2^n calls), without a loop could be neither killed nor suspended by Go's garbage
// collector, which would stop the process. So every function that may call another
// counts in a global of its own, and where that comes to zero passes through an
// empty loop. Functions that call nothing run for a bounded time and stay as they
// are.
type callCounter struct {
	index   uint32 // of the global; modules that run import none
	needed  bool   // a function may call
	defined bool
}

func newCallCounter(sections []wasmbin.Section) (*callCounter, error) {
	c := &callCounter{}
	for _, s := range sections {
		r := wasmbin.Reader{Rest: s.Body}
		switch s.ID {
		case wasmbin.SectionGlobal:
			c.index += r.Vector()
		case wasmbin.SectionCode:
			c.needed = c.needed || mayCall(s.Body)
		}
		if r.Err != nil {
			return nil, fmt.Errorf("global section: %w", r.Err)
		}
	}
	return c, nil
}

// missing reports whether the global section has to come before section id.
func (c *callCounter) missing(id byte) bool {
	return c.needed && !c.defined && id >= wasmbin.SectionExport && id <= wasmbin.SectionDataCount
}

// define adds the counter, which starts at one, to the global section.
func (c *callCounter) define(section []byte) []byte {
	if !c.needed || c.defined {
		return section
	}
	c.defined = true
	r := wasmbin.Reader{Rest: section}
	if section != nil {
		r.U32() // c.index by now
	}
	out := wasmbin.AppendU32(nil, c.index+1)
	out = append(out, r.Rest...)
	return append(out, wasmbin.I32, 1, 0x41, 1, 0x0b) // (global (mut i32) (i32.const 1))
}

// check is the code at the start of a function.
func (c *callCounter) check() []byte {
	get := wasmbin.AppendU32([]byte{0x23}, c.index)
	set := wasmbin.AppendU32([]byte{0x24}, c.index)
	var code []byte
	code = append(code, get...)
	code = append(code, 0x41, 1, 0x6b) // i32.const 1; i32.sub
	code = append(code, set...)
	code = append(code, get...)
	code = append(code, 0x45, 0x04, 0x40)                                // i32.eqz; if
	code = append(code, 0x41, callsPerCheck&0x7f|0x80, callsPerCheck>>7) // i32.const callsPerCheck
	code = append(code, set...)
	return append(code, 0x03, 0x40, 0x0b, 0x0b) // loop; end; end
}

// count rewrites the code section.
func (c *callCounter) count(section []byte) ([]byte, error) {
	r := wasmbin.Reader{Rest: section}
	n := r.Vector()
	out := wasmbin.AppendU32(make([]byte, 0, len(section)+len(section)/16), n)
	check := c.check()
	for i := uint32(0); i < n && r.Err == nil; i++ {
		body := r.Bytes(r.U32())
		code := wasmbin.Reader{Rest: body}
		if err := prepare.CheckLocals(&code); err != nil {
			return nil, fmt.Errorf("code of function %d: %w", i, err)
		}
		if !mayCall(code.Rest) {
			out = wasmbin.AppendU32(out, uint32(len(body)))
			out = append(out, body...)
			continue
		}
		out = wasmbin.AppendU32(out, uint32(len(body)+len(check)))
		out = append(out, body[:len(body)-len(code.Rest)]...)
		out = append(out, check...)
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
