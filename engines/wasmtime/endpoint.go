//go:build cgo

package wasmtime

/*
#include "glue.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// order is that of the sections of a module (core specification, 5.5.2), by id.
var order = map[byte]int{
	wasmbin.SectionType: 1, wasmbin.SectionImport: 2, wasmbin.SectionFunction: 3, wasmbin.SectionTable: 4, wasmbin.SectionMemory: 5,
	wasmbin.SectionGlobal: 7, wasmbin.SectionExport: 8, wasmbin.SectionStart: 9, wasmbin.SectionElement: 10,
	wasmbin.SectionDataCount: 11, wasmbin.SectionCode: 12, wasmbin.SectionData: 13,
}

// withTrap appends a function to a module that nobody calls and that does nothing but
// trap: where a guest that is to end is sent (interrupt.h). Indices stay what they were.
// An invalid module stays invalid.
func withTrap(module []byte) ([]byte, error) {
	sections, err := wasmbin.Sections(module)
	if err != nil {
		return nil, err
	}
	types := uint32(0)
	for _, s := range sections {
		if s.ID == wasmbin.SectionType {
			types = length(s.Body)
		}
	}
	entries := []wasmbin.Section{
		{ID: wasmbin.SectionType, Body: []byte{0x60, 0, 0}}, // no parameters, no results
		{ID: wasmbin.SectionFunction, Body: wasmbin.AppendU32(nil, types)},
		{ID: wasmbin.SectionCode, Body: []byte{3, 0, 0x00, 0x0b}}, // its size, no locals, unreachable, end
	}
	out := append(make([]byte, 0, len(module)+32), module[:wasmbin.HeaderSize]...)
	for _, s := range sections {
		for len(entries) > 0 && order[entries[0].ID] < order[s.ID] { // the module has no such section
			out = wasmbin.AppendSection(out, entries[0].ID, appendEntry([]byte{0}, entries[0].Body))
			entries = entries[1:]
		}
		body := s.Body
		if len(entries) > 0 && entries[0].ID == s.ID {
			body = appendEntry(body, entries[0].Body)
			entries = entries[1:]
		}
		out = wasmbin.AppendSection(out, s.ID, body)
	}
	for _, e := range entries {
		out = wasmbin.AppendSection(out, e.ID, appendEntry([]byte{0}, e.Body))
	}
	return out, nil
}

// appendEntry makes the vector in a section longer by one.
func appendEntry(body, entry []byte) []byte {
	r := &wasmbin.Reader{Rest: body}
	out := wasmbin.AppendU32(nil, r.Vector()+1)
	out = append(out, r.Rest...)
	return append(out, entry...)
}

// length is that of the vector in a section; 0 for one that Wasmtime will refuse.
func length(body []byte) uint32 {
	r := &wasmbin.Reader{Rest: body}
	return r.Vector()
}

// textOf finds the functions of a loaded module, in which its guests are interrupted.
func (e *engine) textOf(m *C.wasmtime_module_t) (C.bz_text, error) {
	if e.epochs {
		return C.bz_text{}, nil
	}
	var start, end unsafe.Pointer
	C.wasmtime_module_image_range(m, &start, &end)
	return textIn(unsafe.Slice((*byte)(start), uintptr(end)-uintptr(start)))
}

// textIn finds them in a module's image. Addresses are those of the image.
func textIn(image []byte) (t C.bz_text, err error) {
	wrong := C.bz_text_find((*C.uint8_t)(unsafe.SliceData(image)), C.size_t(len(image)), &t)
	if wrong != nil {
		return t, fmt.Errorf("wasmtime: a guest of this code could not be ended: %s: %w", C.GoString(wrong), errdefs.ErrInternal)
	}
	return t, nil
}
