package difftest

import (
	w "blazar/engines/enginetest/wasmgen"
)

// Opcodes are those of the WebAssembly core specification, 5.4 and appendix "Index of
// Instructions".

// span is the opcodes from first to last.
func span(first, last byte) [][]byte {
	var ops [][]byte
	for op := first; op <= last; op++ {
		ops = append(ops, []byte{op})
	}
	return ops
}

// unaryOps and binaryOps take values of a type and give one of it; compare gives an i32.
var (
	unaryOps = map[w.ValueType][][]byte{
		w.I32: append(span(0x67, 0x69), []byte{0xc0}, []byte{0xc1}),               // clz ctz popcnt, extend8_s extend16_s
		w.I64: append(span(0x79, 0x7b), []byte{0xc2}, []byte{0xc3}, []byte{0xc4}), // and extend32_s
		w.F32: span(0x8b, 0x91),                                                   // abs neg ceil floor trunc nearest sqrt
		w.F64: span(0x99, 0x9f),
	}
	binaryOps = map[w.ValueType][][]byte{
		w.I32: append(span(0x6a, 0x6c), span(0x71, 0x78)...), // add sub mul, and or xor shl shr_s shr_u rotl rotr
		w.I64: append(span(0x7c, 0x7e), span(0x83, 0x8a)...),
		w.F32: span(0x92, 0x98), // add sub mul div min max copysign
		w.F64: span(0xa0, 0xa6),
	}
	// division is div_s div_u rem_s rem_u, which trap.
	division = map[w.ValueType][][]byte{w.I32: span(0x6d, 0x70), w.I64: span(0x7f, 0x82)}
	compare  = map[w.ValueType][][]byte{
		w.I32: span(0x46, 0x4f), w.I64: span(0x51, 0x5a), w.F32: span(0x5b, 0x60), w.F64: span(0x61, 0x66),
	}
	isZero = map[w.ValueType][]byte{w.I32: {0x45}, w.I64: {0x50}}
)

// conversion takes one type and gives another.
type conversion struct {
	from  w.ValueType
	op    []byte
	traps bool
}

var conversions = map[w.ValueType][]conversion{
	w.I32: {
		{w.I64, []byte{0xa7}, false}, // wrap
		{w.F32, []byte{0xa8}, true}, {w.F32, []byte{0xa9}, true}, {w.F64, []byte{0xaa}, true}, {w.F64, []byte{0xab}, true},
		{w.F32, []byte{0xfc, 0}, false}, {w.F32, []byte{0xfc, 1}, false}, {w.F64, []byte{0xfc, 2}, false}, {w.F64, []byte{0xfc, 3}, false},
		{w.F32, []byte{0xbc}, false}, // reinterpret
	},
	w.I64: {
		{w.I32, []byte{0xac}, false}, {w.I32, []byte{0xad}, false},
		{w.F32, []byte{0xae}, true}, {w.F32, []byte{0xaf}, true}, {w.F64, []byte{0xb0}, true}, {w.F64, []byte{0xb1}, true},
		{w.F32, []byte{0xfc, 4}, false}, {w.F32, []byte{0xfc, 5}, false}, {w.F64, []byte{0xfc, 6}, false}, {w.F64, []byte{0xfc, 7}, false},
		{w.F64, []byte{0xbd}, false},
	},
	w.F32: {
		{w.I32, []byte{0xb2}, false}, {w.I32, []byte{0xb3}, false}, {w.I64, []byte{0xb4}, false}, {w.I64, []byte{0xb5}, false},
		{w.F64, []byte{0xb6}, false}, {w.I32, []byte{0xbe}, false},
	},
	w.F64: {
		{w.I32, []byte{0xb7}, false}, {w.I32, []byte{0xb8}, false}, {w.I64, []byte{0xb9}, false}, {w.I64, []byte{0xba}, false},
		{w.F32, []byte{0xbb}, false}, {w.I64, []byte{0xbf}, false},
	},
}

// access is a load or store with its alignment, to be followed by an offset.
var (
	loads = map[w.ValueType][][]byte{
		w.I32: {{0x28, 2}, {0x2c, 0}, {0x2d, 0}, {0x2e, 1}, {0x2f, 0}},
		w.I64: {{0x29, 3}, {0x30, 0}, {0x31, 0}, {0x32, 1}, {0x33, 0}, {0x34, 2}, {0x35, 0}},
		w.F32: {{0x2a, 2}}, w.F64: {{0x2b, 0}},
	}
	someStores = map[w.ValueType][][]byte{
		w.I32: {{0x36, 2}, {0x3a, 0}, {0x3b, 1}}, w.I64: {{0x37, 3}, {0x3c, 0}, {0x3d, 0}, {0x3e, 2}},
		w.F32: {{0x38, 2}}, w.F64: {{0x39, 3}},
	}
	// stores put a whole value at the address below it.
	stores = map[w.ValueType][]byte{w.I32: {0x36, 2, 0}, w.I64: {0x37, 3, 0}, w.F32: {0x38, 2, 0}, w.F64: {0x39, 3, 0}}
	sizes  = map[w.ValueType]int32{w.I32: 4, w.I64: 8, w.F32: 4, w.F64: 8}
	equal  = map[w.ValueType][]byte{w.F32: {0x5b}, w.F64: {0x61}}
)

// selectOp takes the first of two values where the third is not zero.
var selectOp = []byte{0x1b}

// offset is an access with its offset.
func offset(access []byte, by uint32) []byte {
	out := append([]byte(nil), access...)
	for by >= 0x80 {
		out = append(out, byte(by)|0x80)
		by >>= 7
	}
	return append(out, byte(by))
}
