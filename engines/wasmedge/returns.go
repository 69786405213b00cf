//go:build cgo && linux && amd64

package wasmedge

import (
	"fmt"

	"blazar/engines/internal/growhook"
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"
)

// returnsPerCheck is how many functions return between two looks at whether the
// guest shall end. A look costs as much as tens of calls.
const returnsPerCheck = 128

// Instructions that are looked for.
const (
	opBlock              = 0x02
	opLoop               = 0x03
	opIf                 = 0x04
	opEnd                = 0x0b
	opReturn             = 0x0f
	opCall               = 0x10
	opCallIndirect       = 0x11
	opReturnCall         = 0x12
	opReturnCallIndirect = 0x13
)

// returnHook makes a module look whether it shall end as its functions return.
//
// WasmEdge looks in loops only, and LLVM makes a loop, into which nobody looks, of a
// function that ends with a call of itself. So every function that calls counts in
// a global before it returns, and where that comes to zero passes through an empty
// loop. A call is then never the last thing that a function does: a recursion without
// end uses up its stack, and one that ends (2^n calls) can be ended sooner. Tail calls
// count before they jump.
//
// A function's body becomes a block, which `return` leaves by a branch:
//
//	block (its results) BODY end  look  end
type returnHook struct {
	outline *wasmbin.Outline
	imports uint32 // imported functions, which come first
	global  uint32 // the counter; modules that run import no globals
	types   uint32 // in the type section, with those added
	added   []byte // types of blocks with several results
	blocks  map[string]uint32
}

func newReturnHook(sections []wasmbin.Section, o *wasmbin.Outline) *returnHook {
	h := &returnHook{outline: o, imports: uint32(len(o.Imports)), blocks: map[string]uint32{}}
	for _, s := range sections {
		r := wasmbin.Reader{Rest: s.Body}
		switch s.ID {
		case wasmbin.SectionType:
			h.types = r.Vector()
		case wasmbin.SectionGlobal:
			h.global = r.Vector()
		}
	}
	return h
}

// look is the code that counts and, now and then, lets the engine look.
func (h *returnHook) look() []byte {
	get := wasmbin.AppendU32([]byte{0x23}, h.global)
	set := wasmbin.AppendU32([]byte{0x24}, h.global)
	var code []byte
	code = append(code, get...)
	code = append(code, 0x41, 1, 0x6b) // i32.const 1; i32.sub
	code = append(code, set...)
	code = append(code, get...)
	code = append(code, 0x45, opIf, 0x40)                                    // i32.eqz; if
	code = append(code, 0x41, returnsPerCheck&0x7f|0x80, returnsPerCheck>>7) // i32.const returnsPerCheck
	code = append(code, set...)
	return append(code, opLoop, 0x40, opEnd, opEnd)
}

// counter is the global, which starts at one.
func (h *returnHook) counter() []byte { return []byte{wasmbin.I32, 1, 0x41, 1, opEnd} }

// code rewrites the code section.
func (h *returnHook) code(section []byte) ([]byte, error) {
	r := wasmbin.Reader{Rest: section}
	n := r.Vector()
	out := wasmbin.AppendU32(make([]byte, 0, len(section)+len(section)/8), n)
	for i := uint32(0); i < n && r.Err == nil; i++ {
		body, err := h.function(h.imports+i, r.Bytes(r.U32()))
		if err != nil {
			return nil, fmt.Errorf("code of function %d: %w", i, err)
		}
		out = wasmbin.AppendU32(out, uint32(len(body)))
		out = append(out, body...)
	}
	if r.Err != nil {
		return nil, fmt.Errorf("code section: %w", r.Err)
	}
	return append(out, r.Rest...), nil
}

// function rewrites one body, unless it calls nothing.
func (h *returnHook) function(index uint32, body []byte) ([]byte, error) {
	r := wasmbin.Reader{Rest: body}
	if err := prepare.CheckLocals(&r); err != nil {
		return nil, err
	}
	locals, code := body[:len(body)-len(r.Rest)], r.Rest
	block, ok := h.blockType(index)
	if !ok {
		return body, nil // of no known type: the engine refuses it
	}
	out := append(append([]byte(nil), locals...), opBlock)
	out = append(out, block...)
	look := h.look()
	calls, depth, copied := false, uint32(0), 0
	err := growhook.Instructions(code, func(op byte, begin, end int) {
		switch op {
		case opBlock, opLoop, opIf:
			depth++
		case opEnd:
			depth-- // the last one wraps around, and nothing follows
		case opCall, opCallIndirect:
			calls = true
		case opReturn:
			out = append(out, code[copied:begin]...)
			out = wasmbin.AppendU32(append(out, 0x0c), depth) // br
			copied = end
		case opReturnCall, opReturnCallIndirect:
			calls = true
			out = append(out, code[copied:begin]...)
			out = append(out, look...)
			copied = begin
		}
	})
	if err != nil || !calls {
		return body, err
	}
	out = append(out, code[copied:]...)
	return append(append(out, look...), opEnd), nil
}

// blockType encodes the type of a block with the results of a function: with several
// it is a type of its own, which is added.
func (h *returnHook) blockType(function uint32) ([]byte, bool) {
	t, ok := h.outline.FuncType(function)
	if !ok {
		return nil, false
	}
	switch len(t.Results) {
	case 0:
		return []byte{0x40}, true
	case 1:
		return t.Results, true
	}
	key := string(t.Results)
	if _, ok := h.blocks[key]; !ok {
		h.blocks[key] = h.types
		h.types++
		h.added = append(h.added, 0x60, 0)
		h.added = wasmbin.AppendU32(h.added, uint32(len(t.Results)))
		h.added = append(h.added, t.Results...)
	}
	return signed(h.blocks[key]), true
}

// signed encodes v as signed LEB128, as block types have it: a final byte with bit 6
// would make it negative.
func signed(v uint32) []byte {
	b := wasmbin.AppendU32(nil, v)
	if last := len(b) - 1; b[last]&0x40 != 0 {
		b[last] |= 0x80
		b = append(b, 0)
	}
	return b
}
