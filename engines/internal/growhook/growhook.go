// Package growhook rewrites a module so that a memory that is refused more
// pages by its host, not by its own declared maximum, says so and ends.
//
// Engines that only offer a ceiling make memory.grow return -1 and leave no trace:
// a guest over its container's limit could not be told from one that minds its own
// maximum. Every memory.grow becomes a call of a function put at the end of the
// module, so that no index changes:
//
//	grow(n): r = memory.grow n
//	         if r == -1 and memory.size + n <= declared maximum:
//	             blazar:over-limit = 1; unreachable
//	         return r
//
// Binary format: https://webassembly.github.io/spec/core/binary/.
package growhook

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/containerd/errdefs"
)

// Global is the exported i32 that is 1 after a refused growth.
const Global = "blazar:over-limit"

// Sections by id, in the order the format demands.
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionTag      = 13
	sectionGlobal   = 6
	sectionExport   = 7
	sectionCode     = 10
	sectionData     = 12
)

const header = "\x00asm\x01\x00\x00\x00"

// maxPages is what an undeclared maximum means: 4 GiB of 64 KiB pages.
const maxPages = 1 << 16

type section struct {
	id   byte
	body []byte
}

// Instrument returns the rewritten module and how many instructions it replaced;
// with none the module is returned as it is. A module that cannot be parsed is
// errdefs.ErrInvalidArgument, one with instructions or memories this package does
// not know errdefs.ErrNotImplemented: such a module still runs, unhooked.
func Instrument(module []byte) ([]byte, int, error) {
	m, err := parse(module)
	if err != nil {
		return nil, 0, err
	}
	if m.memories == 0 {
		return module, 0, nil
	}
	if m.memories > 1 || m.wide {
		return nil, 0, fmt.Errorf("more than one memory, or one of 64 bits: %w", errdefs.ErrNotImplemented)
	}
	hook := m.importedFunctions + m.functions
	code, n, err := rewriteCode(m.section(sectionCode), hook)
	if err != nil {
		return nil, 0, err
	}
	if n == 0 {
		return module, 0, nil
	}
	global := m.importedGlobals + m.globals
	m.append(sectionType, []byte{0x60, 1, 0x7f, 1, 0x7f})
	m.append(sectionFunction, leb(nil, m.types))
	m.append(sectionGlobal, []byte{0x7f, 1, 0x41, 0, 0x0b})
	m.append(sectionExport, leb(append(leb(nil, uint64(len(Global))), Global+"\x03"...), global))
	m.set(sectionCode, code)
	m.append(sectionCode, body(m.max, global))
	return m.bytes(), n, nil
}

// body is the hook's code entry.
func body(limit, global uint64) []byte {
	b := []byte{
		1, 1, 0x7f, // one local i32
		0x20, 0, 0x40, 0, 0x22, 1, // r = memory.grow n
		0x41, 0x7f, 0x46, // r == -1
		0x04, 0x40,
		0x3f, 0, 0xad, 0x20, 0, 0xad, 0x7c, // i64 memory.size + n
		0x42,
	}
	b = sleb(b, int64(limit))
	b = append(b, 0x58, 0x04, 0x40, 0x41, 1, 0x24) // <= maximum: global = 1
	b = leb(b, global)
	b = append(b, 0x00, 0x0b, 0x0b, 0x20, 1, 0x0b) // unreachable; return r
	return append(leb(nil, uint64(len(b))), b...)
}

// module is what parse learns.
type module struct {
	sections                                []section
	types, importedFunctions, functions     uint64
	importedGlobals, globals, memories, max uint64
	wide                                    bool
}

func parse(b []byte) (*module, error) {
	if !bytes.HasPrefix(b, []byte(header)) {
		return nil, fmt.Errorf("no core module: %w", errdefs.ErrInvalidArgument)
	}
	m := &module{}
	r := &reader{b: b[len(header):]}
	for len(r.b) > 0 && r.err == nil {
		id := r.byte()
		m.sections = append(m.sections, section{id, r.bytes(r.u())})
	}
	for _, s := range m.sections {
		if r.err != nil {
			break
		}
		sr := &reader{b: s.body}
		m.learn(s.id, sr)
		r.err = sr.err
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func (m *module) learn(id byte, r *reader) {
	switch id {
	case sectionType:
		m.types = r.u()
		// A recursion group counts as many types as it holds.
		if len(r.b) > 0 && r.b[0] == 0x4e {
			r.unknown("recursion group of types")
		}
	case sectionImport:
		for n := r.u(); n > 0 && r.err == nil; n-- {
			r.bytes(r.u())
			r.bytes(r.u())
			m.imported(r)
		}
	case sectionFunction:
		m.functions = r.u()
	case sectionMemory:
		for n := r.u(); n > 0 && r.err == nil; n-- {
			m.memory(r)
		}
	case sectionGlobal:
		m.globals = r.u()
	}
}

func (m *module) imported(r *reader) {
	switch kind := r.byte(); kind {
	case 0:
		m.importedFunctions++
		r.u()
	case 1:
		r.valueType()
		r.limits()
	case 2:
		m.memory(r)
	case 3:
		m.importedGlobals++
		r.valueType()
		r.byte()
	case 4:
		r.byte()
		r.u()
	default:
		r.unknown(fmt.Sprintf("import of kind %d", kind))
	}
}

func (m *module) memory(r *reader) {
	flags, limit := r.limits()
	m.memories++
	m.wide = m.wide || flags&4 != 0
	m.max = maxPages
	if flags&1 != 0 && limit < maxPages {
		m.max = limit
	}
}

func (m *module) section(id byte) []byte {
	for _, s := range m.sections {
		if s.id == id {
			return s.body
		}
	}
	return nil
}

func (m *module) set(id byte, body []byte) {
	for i := range m.sections {
		if m.sections[i].id == id {
			m.sections[i].body = body
			return
		}
	}
	at := 0
	for i, s := range m.sections {
		if s.id != 0 && rank(s.id) < rank(id) {
			at = i + 1
		}
	}
	m.sections = append(m.sections[:at], append([]section{{id, body}}, m.sections[at:]...)...)
}

// rank orders sections: tags come behind memories, the data count before code.
func rank(id byte) int {
	switch id {
	case sectionTag:
		return sectionMemory*2 + 1
	case sectionData:
		return sectionCode*2 - 1
	}
	return int(id) * 2
}

// append adds one item to a section that starts with a count.
func (m *module) append(id byte, item []byte) {
	n, k := binary.Uvarint(m.section(id))
	if k <= 0 {
		n, k = 0, 0
	}
	b := leb(make([]byte, 0, len(m.section(id))+len(item)+2), n+1)
	b = append(b, m.section(id)[k:]...)
	m.set(id, append(b, item...))
}

func (m *module) bytes() []byte {
	out := []byte(header)
	for _, s := range m.sections {
		out = append(leb(append(out, s.id), uint64(len(s.body))), s.body...)
	}
	return out
}

func leb(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func sleb(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
