package wazero

import (
	"fmt"
	"sync"

	"blazar/engines/internal/wasmbin"
	"blazar/engines/wasip1"

	"github.com/containerd/errdefs"
)

// prepare checks what wazero would only find when an instance is made, or would
// say less clearly, and returns the module in the form that is compiled.
func prepare(module []byte) ([]byte, *wasmbin.Outline, error) {
	if err := wasmbin.CoreModule(Name, module); err != nil {
		return nil, nil, err
	}
	sections, err := wasmbin.Sections(module)
	if err != nil {
		return nil, nil, err
	}
	if err := checkCounts(sections); err != nil {
		return nil, nil, err
	}
	outline, err := wasmbin.Outlined(sections)
	if err != nil {
		return nil, nil, err
	}
	if err := checkImports(outline); err != nil {
		return nil, nil, err
	}
	module, err = instrument(module, sections)
	return module, outline, err
}

// outlineOf is the outline of a module that prepare has returned.
func outlineOf(prepared []byte) (*wasmbin.Outline, error) {
	sections, err := wasmbin.Sections(prepared)
	if err != nil {
		return nil, err
	}
	return wasmbin.Outlined(sections)
}

// checkImports refuses what no host function answers.
func checkImports(o *wasmbin.Outline) error {
	known := functionTypes()
	for _, i := range o.Imports {
		if i.Module != wasip1.ModuleName {
			return fmt.Errorf("the module imports the %s; guests get %s (WASI preview 1) and nothing else: %w",
				i, wasip1.ModuleName, errdefs.ErrNotImplemented)
		}
		want, ok := known[i.Name]
		if i.Kind != wasmbin.ExternFunc || !ok {
			return fmt.Errorf("the module imports the %s, which WASI preview 1 does not have: %w", i, errdefs.ErrNotImplemented)
		}
		if got, ok := o.ImportType(i); ok && !got.Equal(want) {
			return fmt.Errorf("the module imports the %s as %v; it is %v: %w", i, got, want, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// functionTypes are the types of preview 1's functions by name.
var functionTypes = sync.OnceValue(func() map[string]wasmbin.FuncType {
	types := map[string]wasmbin.FuncType{}
	for _, f := range wasip1.Functions() {
		var t wasmbin.FuncType
		for _, p := range f.Params {
			if p == wasip1.I64 {
				t.Params = append(t.Params, wasmbin.I64)
			} else {
				t.Params = append(t.Params, wasmbin.I32)
			}
		}
		if !f.NoResult {
			t.Results = []byte{wasmbin.I32}
		}
		types[f.Name] = t
	}
	return types
})
