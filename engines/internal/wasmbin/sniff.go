package wasmbin

import (
	"bytes"
	"fmt"

	"github.com/containerd/errdefs"
)

// HeaderSize is the length of magic number and version.
const HeaderSize = 8

var (
	magic          = []byte("\x00asm")
	coreVersion    = []byte{1, 0, 0, 0}
	componentLayer = []byte{1, 0} // the upper half of a component's version field
)

// Kind says what a file that starts like WebAssembly is.
type Kind int

// The kinds of files.
const (
	// Module is a core module of version 1.
	Module Kind = iota + 1
	// Component is a component of the component model, whatever its version.
	Component
)

// Sniff tells modules from components by the first eight bytes. Anything else is
// errdefs.ErrInvalidArgument and says what was found. The layer field is in
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
func Sniff(file []byte) (Kind, error) {
	if len(file) < HeaderSize || !bytes.HasPrefix(file, magic) {
		return 0, fmt.Errorf("not a WebAssembly module: %s: %w", describe(file), errdefs.ErrInvalidArgument)
	}
	version := file[4:HeaderSize]
	switch {
	case bytes.Equal(version, coreVersion):
		return Module, nil
	case bytes.Equal(version[2:], componentLayer):
		return Component, nil
	}
	return 0, fmt.Errorf("a WebAssembly binary of unknown version % x: %w", version, errdefs.ErrInvalidArgument)
}

// CoreModule is Sniff for an engine that runs nothing but core modules: a
// component is errdefs.ErrNotImplemented.
func CoreModule(engine string, file []byte) error {
	kind, err := Sniff(file)
	if err != nil {
		return err
	}
	if kind == Component {
		return fmt.Errorf("this is a WebAssembly component, and the engine %s runs core modules only; "+
			"build the program for wasip1 (WASI preview 1) or choose an engine with components: %w",
			engine, errdefs.ErrNotImplemented)
	}
	return nil
}

// describe says what file looks like instead of a module.
func describe(file []byte) string {
	switch {
	case len(file) == 0:
		return "the file is empty"
	case bytes.HasPrefix(magic, file), bytes.HasPrefix(file, magic):
		return fmt.Sprintf("the file ends after %d bytes", len(file))
	case bytes.HasPrefix(file, []byte("\x7fELF")):
		return "this is a native (ELF) program"
	case bytes.HasPrefix(file, []byte("#!")):
		return "this is a script"
	case bytes.HasPrefix(bytes.TrimSpace(file), []byte("(")):
		return "this looks like the text format; assemble it with wat2wasm first"
	}
	return fmt.Sprintf("the file starts with % x", file[:min(len(file), 8)])
}

// Sections splits a core module, whose kind the caller has checked.
func Sections(module []byte) ([]Section, error) {
	if len(module) < HeaderSize {
		return nil, fmt.Errorf("malformed module: no header: %w", errdefs.ErrInvalidArgument)
	}
	r := Reader{Rest: module[HeaderSize:]}
	var sections []Section
	for len(r.Rest) > 0 {
		id := r.Byte()
		body := r.Bytes(r.U32())
		if r.Err != nil {
			return nil, fmt.Errorf("section %d (id %d) is cut short: %w", len(sections), id, r.Err)
		}
		sections = append(sections, Section{ID: id, Body: body})
	}
	return sections, nil
}

// AppendSection appends a section; the inverse of Sections behind a header.
func AppendSection(b []byte, id byte, body []byte) []byte {
	b = append(b, id)
	b = AppendU32(b, uint32(len(body)))
	return append(b, body...)
}
