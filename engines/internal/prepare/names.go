package prepare

import (
	"blazar/engines/internal/wasmbin"
)

// Subsections of the name section that are of use: the module's and functions' names.
// https://webassembly.github.io/spec/core/appendix/custom.html#name-section
const (
	namesOfModule    = 0
	namesOfFunctions = 1
)

// UsefulNames reduces a custom section to what traps are explained with: nil for
// any section but a well-formed name section, which loses the names of locals.
// Debug information, often most of a module, is not carried into artifacts; and
// an engine would allocate whatever length a malformed name announces.
func UsefulNames(section []byte) []byte {
	r := wasmbin.Reader{Rest: section}
	if r.Name() != "name" || r.Err != nil {
		return nil
	}
	out := append([]byte(nil), section[:len(section)-len(r.Rest)]...)
	for next := 0; len(r.Rest) > 0 && r.Err == nil; {
		id := r.Byte()
		body := r.Bytes(r.U32())
		if r.Err != nil || int(id) < next {
			return nil
		}
		next = int(id) + 1
		if id != namesOfModule && id != namesOfFunctions {
			continue
		}
		if !wellNamed(id, body) {
			return nil
		}
		out = wasmbin.AppendSection(out, id, body)
	}
	return out
}

func wellNamed(id byte, body []byte) bool {
	r := wasmbin.Reader{Rest: body}
	if id == namesOfModule {
		r.Name()
	} else {
		r.EachOf(func(r *wasmbin.Reader) { r.U32(); r.Name() })
	}
	return r.Err == nil && len(r.Rest) == 0
}
