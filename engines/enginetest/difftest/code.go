package difftest

import (
	"encoding/binary"
	"math"

	w "blazar/engines/enginetest/wasmgen"
)

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// Values at which arithmetic is interesting.
var (
	someInts   = []int64{0, 1, -1, 2, 7, 31, 32, 63, 64, 127, 128, 255, 65535, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, math.MaxUint32}
	someFloats = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 1.5, -2.5, 1e-310, 1e300, -1e300, 4294967296, 2147483648, -2147483649, 9223372036854775808,
		math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat64}
)

// constant pushes a value of the type.
func (g *generator) constant(t w.ValueType) []byte {
	n := pick(g, someInts)
	if g.IntN(2) == 0 {
		n = int64(g.Uint64()) >> g.IntN(64)
	}
	x := pick(g, someFloats)
	if g.IntN(2) == 0 {
		x = g.NormFloat64() * math.Pow(10, float64(g.IntN(20)-10))
	}
	switch t {
	case w.I32:
		return w.I32Const(int32(n))
	case w.I64:
		return w.I64Const(n)
	case w.F32:
		return f32Const(float32(x))
	}
	return f64Const(x)
}

func f32Const(x float32) []byte {
	bits := math.Float32bits(x)
	if x != x {
		bits = 0x7fc00000 // the canonical NaN
	}
	return binary.LittleEndian.AppendUint32([]byte{0x43}, bits)
}

func f64Const(x float64) []byte {
	bits := math.Float64bits(x)
	if x != x {
		bits = 0x7ff8 << 48
	}
	return binary.LittleEndian.AppendUint64([]byte{0x44}, bits)
}

// canonical replaces a NaN on the stack by the canonical one.
func (g *generator) canonical(t w.ValueType) []byte {
	tmp, ok := g.scrap[t]
	if !ok {
		return nil // an integer
	}
	nan := f64Const(math.NaN())
	if t == w.F32 {
		nan = f32Const(float32(math.NaN()))
	}
	return cat(w.LocalTee(tmp), nan, w.LocalGet(tmp), w.LocalGet(tmp), equal[t], selectOp)
}

// expression pushes a value of the type; it is at most so deep.
func (g *generator) expression(t w.ValueType, depth int) []byte {
	if depth <= 0 {
		return g.leaf(t)
	}
	sub := func(t w.ValueType) []byte { return g.expression(t, depth-1-g.IntN(2)) }
	switch n := g.IntN(20); {
	case n < 3:
		return g.leaf(t)
	case n < 5:
		return cat(sub(t), pick(g, unaryOps[t]), g.canonical(t))
	case n < 9:
		return cat(sub(t), sub(t), pick(g, binaryOps[t]), g.canonical(t))
	case n < 11:
		return g.convert(t, sub)
	case n < 12 && division[t] != nil:
		return g.divide(t, sub)
	case n < 14 && t == w.I32:
		of := g.kind()
		if isZero[of] != nil && g.IntN(4) == 0 {
			return cat(sub(of), isZero[of])
		}
		return cat(sub(of), sub(of), pick(g, compare[of]))
	case n < 16:
		return cat(g.address(sub), offset(pick(g, loads[t]), g.reach()), g.canonical(t))
	case n < 17:
		return cat(sub(t), sub(t), sub(w.I32), selectOp)
	case n < 18:
		return cat(sub(w.I32), []byte{0x04, byte(t)}, sub(t), []byte{0x05}, sub(t), []byte{0x0b})
	case n < 19:
		return g.call(t, sub)
	case t == w.I32 && g.IntN(3) == 0:
		return cat(w.I32Const(int32(g.IntN(2))), w.MemoryGrow)
	case t == w.I32:
		return w.MemorySize
	}
	return g.leaf(t)
}

// leaf is a constant or a local variable.
func (g *generator) leaf(t w.ValueType) []byte {
	if l, ok := g.local(t); ok && g.IntN(3) > 0 {
		return w.LocalGet(l)
	}
	return g.constant(t)
}

func (g *generator) local(t w.ValueType) (uint32, bool) {
	var fit []uint32
	for i, l := range g.locals {
		if l == t {
			fit = append(fit, uint32(i))
		}
	}
	if len(fit) == 0 {
		return 0, false
	}
	return pick(g, fit), true
}

func (g *generator) convert(t w.ValueType, sub func(w.ValueType) []byte) []byte {
	for {
		c := pick(g, conversions[t])
		if c.traps && !g.dare() {
			continue
		}
		return cat(sub(c.from), c.op, g.canonical(t))
	}
}

// divide keeps from dividing by zero, and by -1, unless it dares.
func (g *generator) divide(t w.ValueType, sub func(w.ValueType) []byte) []byte {
	by := sub(t)
	if !g.dare() {
		mask, and, or := w.I32Const(math.MaxInt32), []byte{0x71}, []byte{0x72}
		one := w.I32Const(1)
		if t == w.I64 {
			mask, and, or, one = w.I64Const(math.MaxInt64), []byte{0x83}, []byte{0x84}, w.I64Const(1)
		}
		by = cat(by, mask, and, one, or)
	}
	return cat(sub(t), by, pick(g, division[t]))
}

// address pushes an address in the first page, unless it dares.
func (g *generator) address(sub func(w.ValueType) []byte) []byte {
	if g.dare() {
		return sub(w.I32)
	}
	return cat(sub(w.I32), w.I32Const(pageSize/2-1), []byte{0x71})
}

// reach is an offset that stays in the first page behind an address.
func (g *generator) reach() uint32 {
	if g.dare() {
		return g.Uint32() >> g.IntN(32)
	}
	return uint32(g.IntN(pageSize / 4))
}

// dare says now and then, in risky programs, that something may trap.
func (g *generator) dare() bool { return g.risky && g.IntN(10) == 0 }

// call calls a function written before. Not in loops, and seldom: the program ends
// within a second because of that.
func (g *generator) call(t w.ValueType, sub func(w.ValueType) []byte) []byte {
	var fit []function
	for _, f := range g.funcs {
		if f.result == t {
			fit = append(fit, f)
		}
	}
	if len(fit) == 0 || g.calls <= 0 || g.inLoop {
		return g.leaf(t)
	}
	g.calls--
	f := pick(g, fit)
	var args []byte
	for _, p := range f.params {
		args = append(args, sub(p)...)
	}
	return cat(args, w.Call(f.index))
}

// statement leaves the stack as it is.
func (g *generator) statement(depth int) []byte {
	sub := func(t w.ValueType) []byte { return g.expression(t, depth) }
	switch n := g.IntN(10); {
	case n < 4 && len(g.locals) > 0:
		i := g.IntN(len(g.locals))
		return cat(sub(g.locals[i]), w.LocalSet(uint32(i)))
	case n < 7:
		t := g.kind()
		return cat(g.address(sub), sub(t), offset(pick(g, someStores[t]), g.reach()))
	case n < 8 && depth > 0:
		return cat(sub(w.I32), w.If(g.statement(depth-1)))
	case n < 9 && depth > 0:
		return w.Block(g.statement(depth-1), sub(w.I32), w.BrIf(0), g.statement(depth-1))
	case !g.inLoop && depth > 0:
		return g.loop(depth)
	}
	return cat(sub(w.I64), w.Drop)
}

// loop repeats a statement a few times.
func (g *generator) loop(depth int) []byte {
	g.inLoop = true
	defer func() { g.inLoop = false }()
	body := cat(g.statement(depth-1), g.statement(depth-1))
	return cat(w.I32Const(int32(1+g.IntN(20))), w.LocalSet(g.loops),
		w.Loop(body, w.LocalGet(g.loops), w.I32Const(1), w.I32Sub, w.LocalTee(g.loops), w.BrIf(0)))
}
