package difftest

import (
	"math/rand/v2"

	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

// A generated program is a row of functions, each of which may call those before it,
// and a _start that calls one after another, writes the bytes of every result to
// stdout, then a part of its memory to stdout and all of it to the file "out".

// Layout of the program's memory: the last bytes of its first page are _start's own.
// Guests may write there too; _start fills in what it needs before each use.
const (
	pageSize = 64 << 10
	resultAt = pageSize - 64 // 8 bytes
	iovecAt  = pageSize - 48
	countAt  = pageSize - 40
	nameAt   = pageSize - 32
	fdAt     = pageSize - 24
	shownAt  = 0
	shownLen = 4096
	maxPages = 3
)

var (
	i32 = []w.ValueType{w.I32}
	all = []w.ValueType{w.I32, w.I64, w.F32, w.F64}
)

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// function is one that others may call.
type function struct {
	index  uint32
	params []w.ValueType
	result w.ValueType
}

// generator writes one program.
type generator struct {
	*rand.Rand
	m     w.Module
	funcs []function
	// Within the function that is being written:
	locals []w.ValueType // parameters first, then variables; behind them the scratch
	scrap  map[w.ValueType]uint32
	loops  uint32 // local that counts turns
	calls  int    // that it may still make
	inLoop bool
	// risky programs trap sooner or later.
	risky bool
}

// Generate writes the program of a seed: a valid module.
func Generate(seed uint64) []byte {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	g.risky = g.IntN(3) == 0
	exit := g.m.Import(wasip1.ModuleName, "proc_exit", i32, nil)
	write := g.m.Import(wasip1.ModuleName, "fd_write", []w.ValueType{w.I32, w.I32, w.I32, w.I32}, i32)
	open := g.m.Import(wasip1.ModuleName, "path_open",
		[]w.ValueType{w.I32, w.I32, w.I32, w.I32, w.I32, w.I64, w.I64, w.I32, w.I32}, i32)
	g.m.Memory(1, maxPages)
	g.m.Table(tableSize, tableSize)
	g.m.Data(int32(g.IntN(1000)), g.bytes(g.IntN(2000)))
	for range 3 + g.IntN(6) {
		g.function()
	}
	if g.risky && g.IntN(4) == 0 {
		g.endless()
	}
	g.table()
	g.start(exit, write, open)
	return g.m.Bytes()
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// function adds a function to the row.
func (g *generator) function() {
	f := function{result: g.kind()}
	for range g.IntN(4) {
		f.params = append(f.params, g.kind())
	}
	g.locals = append([]w.ValueType(nil), f.params...)
	var variables []w.ValueType
	for range 1 + g.IntN(4) {
		variables = append(variables, g.kind())
	}
	g.locals = append(g.locals, variables...)
	g.scrap = map[w.ValueType]uint32{w.F32: uint32(len(g.locals)), w.F64: uint32(len(g.locals) + 1)}
	g.loops = uint32(len(g.locals) + 2)
	g.calls = 2
	var body []byte
	for range 1 + g.IntN(5) {
		body = append(body, g.statement(3)...)
	}
	body = append(body, g.expression(f.result, 5)...)
	f.index = g.m.Func("", f.params, []w.ValueType{f.result}, append(variables, w.F32, w.F64, w.I32), body)
	g.funcs = append(g.funcs, f)
}

// endless adds a function that calls itself for ever.
func (g *generator) endless() {
	self := g.funcs[len(g.funcs)-1].index + 1
	f := function{params: i32, result: w.I32}
	f.index = g.m.Func("", i32, i32, nil, w.LocalGet(0), w.I32Const(1), w.I32Add, w.Call(self), w.I32Const(3), w.I32Add)
	g.funcs = append(g.funcs, f)
}

// tableSize is a power of two; half of the table is empty.
const tableSize = 16

// table fills the first half of the table, for calls from _start.
func (g *generator) table() {
	var entries []uint32
	for range tableSize / 2 {
		entries = append(entries, g.funcs[g.IntN(len(g.funcs))].index)
	}
	g.m.Elem(0, entries...)
}

// start adds _start.
func (g *generator) start(exit, write, open uint32) {
	g.locals, g.calls, g.inLoop = nil, 0, false
	g.scrap = map[w.ValueType]uint32{w.F32: 0, w.F64: 1}
	g.loops = 2
	print := func(fd []byte, at, n int32) []byte {
		return cat(store32(iovecAt, at), store32(iovecAt+4, n),
			fd, w.I32Const(iovecAt), w.I32Const(1), w.I32Const(countAt), w.Call(write), w.Drop)
	}
	stdout := w.I32Const(1)
	var body []byte
	call := func(f function, how []byte) {
		body = append(body, w.I32Const(resultAt)...)
		for _, p := range f.params {
			body = append(body, g.constant(p)...)
		}
		body = append(body, cat(how, stores[f.result], print(stdout, resultAt, sizes[f.result]))...)
	}
	for _, f := range g.funcs {
		for range 1 + g.IntN(2) {
			call(f, w.Call(f.index))
		}
	}
	for range g.IntN(4) {
		f := g.funcs[g.IntN(len(g.funcs))]
		element := g.IntN(tableSize)
		if !g.risky { // which of them has this type is for the risky to find out
			call(f, w.Call(f.index))
			continue
		}
		call(f, cat(w.I32Const(int32(element)), w.CallIndirect(g.m.TypeIndex(f.params, []w.ValueType{f.result}))))
	}
	body = append(body, print(stdout, shownAt, shownLen)...)
	body = append(body, cat(store32(nameAt, 'o'|'u'<<8|'t'<<16),
		w.I32Const(3), w.I32Const(0), w.I32Const(nameAt), w.I32Const(3), w.I32Const(1), // O_CREAT
		w.I64Const(-1), w.I64Const(-1), w.I32Const(0), w.I32Const(fdAt), w.Call(open), w.Drop)...)
	body = append(body, print(cat(w.I32Const(fdAt), w.I32Load(0)), 0, pageSize-128)...)
	body = append(body, cat(g.expression(w.I32, 3), w.I32Const(127), []byte{0x71}, w.Call(exit))...)
	g.m.Command("_start", []w.ValueType{w.F32, w.F64, w.I32}, body)
}

func store32(at, v int32) []byte { return cat(w.I32Const(at), w.I32Const(v), w.I32Store(0)) }

func (g *generator) kind() w.ValueType { return all[g.IntN(len(all))] }
