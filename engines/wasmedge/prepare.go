//go:build cgo && linux && amd64

package wasmedge

import (
	"fmt"

	"blazar/engines/internal/growhook"
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// maxBody bounds a function's code, as browsers do: with it the guard below a
// guest's stack (stack.h) is larger than any function's frame.
// https://webassembly.github.io/spec/js-api/#limits
const maxBody = 7_654_321

// prepared is a module in the form that is compiled.
type prepared struct {
	module []byte
	names  names
	shape  prepare.Shape
	// refused is why the module must not run although it may be valid.
	refused error
}

// newPrepared checks what WasmEdge would only find when an instance is made, or
// would say less clearly, and rewrites the module: tables are bounded, refused
// growths of memory are seen, functions look whether the guest shall end, custom
// sections are left out.
func newPrepared(module []byte) (*prepared, error) {
	sections, outline, err := prepare.Check(Name, module)
	if err != nil {
		return nil, err
	}
	p := &prepared{shape: prepare.ShapeOf(outline)}
	w := &rewriter{hook: newReturnHook(sections, outline), budget: prepare.TableBudget}
	if err := w.functions(sections); errdefs.IsNotImplemented(err) {
		p.refused, w.hook = err, nil
	} else if err != nil {
		return nil, err
	}
	var named []byte
	for _, s := range sections {
		if s.ID == wasmbin.SectionCustom {
			if useful := prepare.UsefulNames(s.Body); useful != nil {
				named = useful
			}
			continue
		}
		if err := w.section(s); err != nil {
			return nil, err
		}
	}
	p.names = newNames(uint32(len(outline.Imports)), uint32(outline.Functions()), named)
	p.module = append(append([]byte(nil), module[:wasmbin.HeaderSize]...), w.out...)
	if p.refused != nil {
		return p, nil
	}
	hooked, _, err := growhook.Instrument(p.module)
	if errdefs.IsNotImplemented(err) {
		p.refused, err = err, nil
	} else {
		p.module = hooked
	}
	return p, err
}

// rewriter writes the sections of a module.
type rewriter struct {
	hook   *returnHook // nil where the code has unknown instructions
	code   []byte      // the rewritten code section
	budget uint64      // for tables
	global bool        // the hook's counter is written
	out    []byte
}

// functions rewrites the code, which comes late in a module and adds to what comes
// early.
func (w *rewriter) functions(sections []wasmbin.Section) error {
	for _, s := range sections {
		if s.ID != wasmbin.SectionCode {
			continue
		}
		if err := checkBodies(s.Body); err != nil {
			return err
		}
		code, err := w.hook.code(s.Body)
		if err != nil {
			return err
		}
		w.code = code
	}
	return nil
}

func (w *rewriter) section(s wasmbin.Section) (err error) {
	body := s.Body
	if w.hook != nil && w.code != nil {
		if !w.global && s.ID >= wasmbin.SectionExport && s.ID <= wasmbin.SectionDataCount {
			w.emit(wasmbin.SectionGlobal, appended(nil, 1, w.hook.counter()))
			w.global = true
		}
		switch s.ID {
		case wasmbin.SectionType:
			body = appended(body, uint32(len(w.hook.blocks)), w.hook.added)
		case wasmbin.SectionGlobal:
			body, w.global = appended(body, 1, w.hook.counter()), true
		case wasmbin.SectionCode:
			body = w.code
		}
	}
	if s.ID == wasmbin.SectionTable {
		if body, err = prepare.BoundTables(body, &w.budget); err != nil {
			return err
		}
	}
	w.emit(s.ID, body)
	return nil
}

func (w *rewriter) emit(id byte, body []byte) {
	w.out = append(w.out, id)
	w.out = wasmbin.AppendU32(w.out, uint32(len(body)))
	w.out = append(w.out, body...)
}

// appended adds n elements to a section that is a vector.
func appended(section []byte, n uint32, elements []byte) []byte {
	r := wasmbin.Reader{Rest: section}
	if section != nil {
		n += r.Vector()
	}
	out := wasmbin.AppendU32(nil, n)
	return append(append(out, r.Rest...), elements...)
}

// checkBodies bounds every function, whose frame is memory of the host.
func checkBodies(section []byte) error {
	r := wasmbin.Reader{Rest: section}
	n := r.Vector()
	for i := uint32(0); i < n && r.Err == nil; i++ {
		if body := r.Bytes(r.U32()); len(body) > maxBody {
			return fmt.Errorf("the code of function %d has %d bytes, the limit is %d: %w", i, len(body), maxBody, errdefs.ErrInvalidArgument)
		}
	}
	if r.Err != nil {
		return fmt.Errorf("code section: %w", r.Err)
	}
	return nil
}
