package wasmbin

import (
	"fmt"
	"strings"
)

// FuncType is a function's type, each value by the first byte of its encoding.
type FuncType struct {
	Params, Results []byte
}

// The number types.
const (
	I32 = 0x7f
	I64 = 0x7e
)

// String prints the type as "(i32, i64) -> (i32)".
func (t FuncType) String() string {
	names := map[byte]string{I32: "i32", I64: "i64", 0x7d: "f32", 0x7c: "f64", 0x7b: "v128", 0x70: "funcref", 0x6f: "externref"}
	list := func(types []byte) string {
		words := make([]string, len(types))
		for i, t := range types {
			if words[i] = names[t]; words[i] == "" {
				words[i] = "ref"
			}
		}
		return "(" + strings.Join(words, ", ") + ")"
	}
	return list(t.Params) + " -> " + list(t.Results)
}

// Equal reports whether both types are the same.
func (t FuncType) Equal(o FuncType) bool {
	return string(t.Params) == string(o.Params) && string(t.Results) == string(o.Results)
}

// Outline is what the world outside sees of a core module.
type Outline struct {
	Imports []Import
	// Funcs are the exported functions by name.
	Funcs map[string]uint32
	// Memories are the exported memories by name.
	Memories map[string]uint32
	// Declared are the memories that the module itself declares.
	Declared []Limits

	types []FuncType
	funcs []uint32 // type index by function index, imported functions first
}

// Outlined reads the outline of a core module from its sections.
func Outlined(sections []Section) (*Outline, error) {
	o := &Outline{Funcs: map[string]uint32{}, Memories: map[string]uint32{}}
	for _, s := range sections {
		r := Reader{Rest: s.Body}
		switch s.ID {
		case SectionType:
			o.types = append(o.types, readTypes(&r)...)
		case SectionImport:
			o.Imports = append(o.Imports, readImports(&r)...)
		case SectionFunction:
			for n := r.U32(); n > 0 && r.Err == nil; n-- {
				o.funcs = append(o.funcs, r.U32())
			}
		case SectionMemory:
			r.EachOf(func(r *Reader) { o.Declared = append(o.Declared, readLimits(r)) })
		case SectionExport:
			o.readExports(&r)
		}
		if r.Err != nil {
			return nil, fmt.Errorf("section %d: %w", s.ID, r.Err)
		}
	}
	var imported []uint32
	for _, i := range o.Imports {
		if i.Kind == ExternFunc {
			imported = append(imported, i.Type)
		}
	}
	o.funcs = append(imported, o.funcs...)
	return o, nil
}

// ImportType is the type of an imported function, false where it is of a form
// that is not read here.
func (o *Outline) ImportType(i Import) (FuncType, bool) { return o.typeAt(i.Type) }

// ExportType is the type of an exported function, false where there is none of
// that name or its type is of a form that is not read here.
func (o *Outline) ExportType(name string) (FuncType, bool) {
	f, ok := o.Funcs[name]
	if !ok {
		return FuncType{}, false
	}
	return o.FuncType(f)
}

// Functions is how many functions there are, imported ones included.
func (o *Outline) Functions() int { return len(o.funcs) }

// FuncType is the type of a function, imported ones counted first; false where
// there is no such function or its type is of a form that is not read here.
func (o *Outline) FuncType(function uint32) (FuncType, bool) {
	if uint64(function) >= uint64(len(o.funcs)) {
		return FuncType{}, false
	}
	return o.typeAt(o.funcs[function])
}

func (o *Outline) typeAt(i uint32) (FuncType, bool) {
	if uint64(i) >= uint64(len(o.types)) {
		return FuncType{}, false
	}
	return o.types[i], true
}

func (o *Outline) readExports(r *Reader) {
	for n := r.U32(); n > 0 && r.Err == nil; n-- {
		name, kind, index := r.Name(), r.Byte(), r.U32()
		switch {
		case r.Err != nil:
		case kind == ExternFunc:
			o.Funcs[name] = index
		case kind == ExternMemory:
			o.Memories[name] = index
		}
	}
}

// readTypes reads plain function types up to the first type of another form
// (recursive groups, subtypes), which the engine is left to judge.
func readTypes(r *Reader) []FuncType {
	var all []FuncType
	for n := r.U32(); n > 0 && r.Err == nil; n-- {
		if form := r.Byte(); form != 0x60 {
			r.Rest = nil
			break
		}
		t := FuncType{Params: readTypeList(r), Results: readTypeList(r)}
		if r.Err == nil {
			all = append(all, t)
		}
	}
	return all
}

func readTypeList(r *Reader) []byte {
	var list []byte
	for n := r.U32(); n > 0 && r.Err == nil; n-- {
		list = append(list, SkipType(r))
	}
	return list
}
