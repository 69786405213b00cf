package growhook

import "fmt"

// Opcodes that are looked at.
const (
	opMemoryGrow = 0x40
	opCall       = 0x10
)

// rewriteCode replaces memory.grow by a call of hook in every function body of a
// code section and counts the replacements.
func rewriteCode(code []byte, hook uint64) (out []byte, n int, err error) {
	if code == nil {
		return nil, 0, nil
	}
	r := &reader{b: code}
	count := r.u()
	out = leb(make([]byte, 0, len(code)+len(code)/64), count)
	for ; count > 0 && r.err == nil; count-- {
		f := &reader{b: r.bytes(r.u())}
		rewritten, k := rewriteFunction(f, hook)
		if f.err != nil {
			return nil, 0, f.err
		}
		n += k
		out = append(leb(out, uint64(len(rewritten))), rewritten...)
	}
	return out, n, r.err
}

func rewriteFunction(r *reader, hook uint64) (out []byte, n int) {
	whole := r.b
	for locals := r.u(); locals > 0 && r.err == nil; locals-- {
		r.u()
		r.valueType()
	}
	copied := 0 // how much of whole is in out already
	for len(r.b) > 0 && r.err == nil {
		at := len(whole) - len(r.b)
		op := r.byte()
		instruction(r, op)
		if op != opMemoryGrow || r.err != nil {
			continue
		}
		out = append(out, whole[copied:at]...)
		out = leb(append(out, opCall), hook)
		copied = len(whole) - len(r.b)
		n++
	}
	return append(out, whole[copied:]...), n
}

// instruction passes over the immediates of op.
func instruction(r *reader, op byte) {
	switch {
	case op == 0x02, op == 0x03, op == 0x04, op == 0x06: // block, loop, if, try
		blockType(r)
	case op == 0x0e: // br_table
		r.skip(count(r) + 1)
	case op == 0x1c: // select with types
		for n := count(r); n > 0 && r.err == nil; n-- {
			r.valueType()
		}
	case op == 0x1f: // try_table
		blockType(r)
		for n := count(r); n > 0 && r.err == nil; n-- {
			if kind := r.byte(); kind < 2 {
				r.skip(1)
			}
			r.skip(1)
		}
	case op == 0x11, op == 0x13: // call_indirect, return_call_indirect
		r.skip(2)
	case op >= 0x28 && op <= 0x3e:
		memoryArgument(r)
	case op == 0x43: // f32.const
		r.bytes(4)
	case op == 0x44: // f64.const
		r.bytes(8)
	case op == 0xfc:
		miscellaneous(r)
	case op == 0xfd:
		vector(r)
	case op == 0xfe:
		atomic(r)
	case oneImmediate(op):
		r.skip(1)
	case noImmediate(op):
	default:
		r.unknown(fmt.Sprintf("instruction %#02x", op))
	}
}

func oneImmediate(op byte) bool {
	switch op {
	case 0x07, 0x08, 0x09, 0x18, // catch, throw, rethrow, delegate
		0x0c, 0x0d, 0x10, 0x12, 0x14, 0x15, // br, br_if, call, return_call, call_ref, return_call_ref
		0x3f, opMemoryGrow, 0x41, 0x42, // memory.size, memory.grow, i32.const, i64.const
		0xd0, 0xd2, 0xd5, 0xd6: // ref.null, ref.func, br_on_null, br_on_non_null
		return true
	}
	return op >= 0x20 && op <= 0x26 // locals, globals, tables
}

func noImmediate(op byte) bool {
	switch op {
	case 0x00, 0x01, 0x05, 0x0a, 0x0b, 0x0f, 0x19, 0x1a, 0x1b, 0xd1, 0xd3, 0xd4:
		return true
	}
	return op >= 0x45 && op <= 0xc4 // numbers
}

// count reads the length of a vector, which cannot exceed what is left.
func count(r *reader) int {
	n := r.u()
	if n > uint64(len(r.b)) {
		r.truncated()
		return 0
	}
	return int(n)
}

// blockType: 0x40, a value type, or the number of a type.
func blockType(r *reader) {
	if len(r.b) > 0 && (r.b[0] == 0x63 || r.b[0] == 0x64) {
		r.valueType()
		return
	}
	r.skip(1)
}

// memoryArgument: alignment (bit 6: a memory's index follows) and offset.
func memoryArgument(r *reader) {
	if r.u()&0x40 != 0 {
		r.skip(1)
	}
	r.skip(1)
}

func miscellaneous(r *reader) {
	switch op := r.u(); {
	case op <= 7, op >= 19 && op <= 22: // saturating truncation, wide arithmetic
	case op == 8, op == 10, op == 12, op == 14: // memory.init and copy, table.init and copy
		r.skip(2)
	case op == 9, op == 11, op >= 13 && op <= 17: // one index
		r.skip(1)
	default:
		r.unknown(fmt.Sprintf("instruction 0xfc %d", op))
	}
}

func vector(r *reader) {
	switch op := r.u(); {
	case op <= 11, op == 92, op == 93: // loads and stores
		memoryArgument(r)
	case op == 12, op == 13: // v128.const, shuffle
		r.bytes(16)
	case op >= 21 && op <= 34: // lanes
		r.byte()
	case op >= 84 && op <= 91: // loads and stores of lanes
		memoryArgument(r)
		r.byte()
	case op <= 0x113:
	default:
		r.unknown(fmt.Sprintf("instruction 0xfd %d", op))
	}
}

func atomic(r *reader) {
	switch op := r.u(); {
	case op == 3: // fence
		r.byte()
	case op <= 2, op >= 0x10 && op <= 0x4e:
		memoryArgument(r)
	default:
		r.unknown(fmt.Sprintf("instruction 0xfe %d", op))
	}
}
