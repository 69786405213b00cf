//go:build cgo && linux && amd64

package wasmedge

import (
	"blazar/engines/internal/report"
	"blazar/engines/internal/wasmbin"
)

// functionNames is the subsection of the name section that names functions.
// https://webassembly.github.io/spec/core/appendix/custom.html#name-section
const functionNames = 1

// names is what is kept of a module to explain traps with: how many functions it
// imports and has, and its name section, which may be missing.
type names []byte

func newNames(imported, functions uint32, section []byte) names {
	return append(wasmbin.AppendU32(wasmbin.AppendU32(nil, imported), functions), section...)
}

// own is the range of the module's own functions.
func (n names) own() (first, end uint32) {
	r := wasmbin.Reader{Rest: n}
	return r.U32(), r.U32()
}

// name is that of a function, or made of its index.
func (n names) name(function uint32) string {
	r := wasmbin.Reader{Rest: n}
	r.U32()
	r.U32()
	r.Name() // of the section
	for len(r.Rest) > 0 && r.Err == nil {
		id := r.Byte()
		body := wasmbin.Reader{Rest: r.Bytes(r.U32())}
		if id != functionNames {
			continue
		}
		for count := body.Vector(); count > 0 && body.Err == nil; count-- {
			if i, name := body.U32(), body.Name(); i == function && name != "" {
				return report.Function(name)
			}
		}
	}
	return report.FunctionIndex(function)
}
