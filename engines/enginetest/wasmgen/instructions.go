package wasmgen

import (
	"encoding/binary"
	"math"
)

// Instructions without immediates.
var (
	Unreachable  = []byte{0x00}
	Nop          = []byte{0x01}
	Return       = []byte{0x0f}
	Drop         = []byte{0x1a}
	MemorySize   = []byte{0x3f, 0x00}
	MemoryGrow   = []byte{0x40, 0x00}
	I32Eqz       = []byte{0x45}
	I32Eq        = []byte{0x46}
	I32Ne        = []byte{0x47}
	I32LtU       = []byte{0x49}
	I32Add       = []byte{0x6a}
	I32Sub       = []byte{0x6b}
	I32DivS      = []byte{0x6d}
	I32DivU      = []byte{0x6e}
	I32RemS      = []byte{0x6f}
	I32TruncF64S = []byte{0xaa}
)

// I32Const pushes v.
func I32Const(v int32) []byte { return join([]byte{0x41}, sleb(int64(v))) }

// I64Const pushes v.
func I64Const(v int64) []byte { return join([]byte{0x42}, sleb(v)) }

// F64Const pushes v.
func F64Const(v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}

// LocalGet pushes a local variable.
func LocalGet(i uint32) []byte { return join([]byte{0x20}, u32(i)) }

// LocalSet pops into a local variable.
func LocalSet(i uint32) []byte { return join([]byte{0x21}, u32(i)) }

// LocalTee stores into a local variable and leaves the value.
func LocalTee(i uint32) []byte { return join([]byte{0x22}, u32(i)) }

// I32Load loads from the address on the stack plus offset.
func I32Load(offset uint32) []byte { return join([]byte{0x28, 2}, u32(offset)) }

// I32Store stores a value at the address below it plus offset.
func I32Store(offset uint32) []byte { return join([]byte{0x36, 2}, u32(offset)) }

// I64Store is I32Store for i64.
func I64Store(offset uint32) []byte { return join([]byte{0x37, 3}, u32(offset)) }

// Call calls a function.
func Call(f uint32) []byte { return join([]byte{0x10}, u32(f)) }

// CallIndirect calls the function of table 0 at the index on the stack.
func CallIndirect(typeIndex uint32) []byte { return join([]byte{0x11}, u32(typeIndex), []byte{0}) }

// ReturnCall is a tail call.
func ReturnCall(f uint32) []byte { return join([]byte{0x12}, u32(f)) }

// Block is a block without result; Br(0) inside leaves it.
func Block(body ...[]byte) []byte { return join([]byte{0x02, 0x40}, join(body...), []byte{0x0b}) }

// Loop is a loop without result; Br(0) inside starts it over.
func Loop(body ...[]byte) []byte { return join([]byte{0x03, 0x40}, join(body...), []byte{0x0b}) }

// If runs body where the value on the stack is not zero.
func If(body ...[]byte) []byte { return join([]byte{0x04, 0x40}, join(body...), []byte{0x0b}) }

// Br branches to the enclosing block at that depth.
func Br(depth uint32) []byte { return join([]byte{0x0c}, u32(depth)) }

// BrIf is Br where the value on the stack is not zero.
func BrIf(depth uint32) []byte { return join([]byte{0x0d}, u32(depth)) }
