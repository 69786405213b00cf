// Package wasmgen writes small WebAssembly modules for tests, so that a test says
// in Go what its guest does and needs no assembler. It checks nothing: it is
// also used to write modules that are wrong on purpose.
package wasmgen

// ValueType is the encoding of a value type.
type ValueType byte

// The number types and the type of function references.
const (
	I32     ValueType = 0x7f
	I64     ValueType = 0x7e
	F32     ValueType = 0x7d
	F64     ValueType = 0x7c
	FuncRef ValueType = 0x70
)

// Unbounded is the maximum of a memory or table that declares none.
const Unbounded = -1

// Module is a module under construction; the zero value is an empty one.
// Imports come before functions, since they share the index space.
type Module struct {
	types, imports, funcs, tables, memories, exports, elems, code, data []([]byte)
	custom                                                              []byte
	imported, defined                                                   uint32
	start                                                               *uint32
	names                                                               []([]byte)
}

// Import adds an imported function and returns its index.
func (m *Module) Import(module, name string, params, results []ValueType) uint32 {
	m.imports = append(m.imports, join(str(module), str(name), []byte{0}, u32(m.funcType(params, results))))
	m.imported++
	return m.imported - 1
}

// ImportMemory adds an imported memory.
func (m *Module) ImportMemory(module, name string, pages uint32) {
	m.imports = append(m.imports, join(str(module), str(name), []byte{2, 0}, u32(pages)))
}

// Func adds a function with a body made of instructions; the final end is added.
// A non-empty name goes into the name section.
func (m *Module) Func(name string, params, results, locals []ValueType, body ...[]byte) uint32 {
	m.funcs = append(m.funcs, u32(m.funcType(params, results)))
	var groups [][]byte
	for _, l := range locals {
		groups = append(groups, []byte{1, byte(l)})
	}
	function := join(vec(groups), join(body...), []byte{0x0b})
	m.code = append(m.code, join(u32(uint32(len(function))), function))
	index := m.imported + m.defined
	m.defined++
	if name != "" {
		m.names = append(m.names, join(u32(index), str(name)))
	}
	return index
}

// Command is Func for a function () -> () exported under name.
func (m *Module) Command(name string, locals []ValueType, body ...[]byte) uint32 {
	f := m.Func(name, nil, nil, locals, body...)
	m.ExportFunc(name, f)
	return f
}

// ExportFunc exports the function with that index.
func (m *Module) ExportFunc(name string, index uint32) {
	m.exports = append(m.exports, join(str(name), []byte{0}, u32(index)))
}

// Memory adds a memory of least to most pages of 64 KiB, exported as "memory".
func (m *Module) Memory(least, most int) {
	m.HiddenMemory(least, most)
	m.exports = append(m.exports, join(str("memory"), []byte{2}, u32(uint32(len(m.memories)-1))))
}

// HiddenMemory is Memory without the export.
func (m *Module) HiddenMemory(least, most int) { m.memories = append(m.memories, limits(least, most)) }

// Table adds a table of function references.
func (m *Module) Table(least, most int) {
	m.tables = append(m.tables, join([]byte{byte(FuncRef)}, limits(least, most)))
}

// Elem puts functions into table 0 from offset on.
func (m *Module) Elem(offset int32, funcs ...uint32) {
	var list [][]byte
	for _, f := range funcs {
		list = append(list, u32(f))
	}
	m.elems = append(m.elems, join([]byte{0}, I32Const(offset), []byte{0x0b}, vec(list)))
}

// Data puts bytes into memory 0 at offset.
func (m *Module) Data(offset int32, b []byte) {
	m.data = append(m.data, join([]byte{0}, I32Const(offset), []byte{0x0b}, u32(uint32(len(b))), b))
}

// Start makes f the start function.
func (m *Module) Start(f uint32) { m.start = &f }

// Custom adds a custom section at the front.
func (m *Module) Custom(name string, content []byte) {
	body := join(str(name), content)
	m.custom = append(m.custom, join([]byte{0}, u32(uint32(len(body))), body)...)
}

// Bytes is the finished module.
func (m *Module) Bytes() []byte {
	out := join([]byte("\x00asm\x01\x00\x00\x00"), m.custom)
	section := func(id byte, items [][]byte) {
		if len(items) > 0 {
			body := vec(items)
			out = join(out, []byte{id}, u32(uint32(len(body))), body)
		}
	}
	section(1, m.types)
	section(2, m.imports)
	section(3, m.funcs)
	section(4, m.tables)
	section(5, m.memories)
	section(7, m.exports)
	if m.start != nil {
		body := u32(*m.start)
		out = join(out, []byte{8}, u32(uint32(len(body))), body)
	}
	section(9, m.elems)
	section(10, m.code)
	section(11, m.data)
	if len(m.names) > 0 {
		functions := vec(m.names)
		body := join(str("name"), []byte{1}, u32(uint32(len(functions))), functions)
		out = join(out, []byte{0}, u32(uint32(len(body))), body)
	}
	return out
}

// funcType returns the index of the type, added where it is new.
func (m *Module) funcType(params, results []ValueType) uint32 {
	t := join([]byte{0x60}, valueTypes(params), valueTypes(results))
	for i, old := range m.types {
		if string(old) == string(t) {
			return uint32(i)
		}
	}
	m.types = append(m.types, t)
	return uint32(len(m.types) - 1)
}

// TypeIndex is the index of a function type, for CallIndirect.
func (m *Module) TypeIndex(params, results []ValueType) uint32 { return m.funcType(params, results) }
