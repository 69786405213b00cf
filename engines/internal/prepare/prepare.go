// Package prepare looks at a module before an engine compiles it: what no engine
// here could run is refused with one text whichever the engine, and what one of
// them would trip over is refused or cut away. Modules are hostile input.
package prepare

import (
	"fmt"
	"sync"

	"blazar/engines/internal/wasmbin"
	"blazar/engines/wasip1"

	"github.com/containerd/errdefs"
)

// Check takes a core module apart and refuses a component, a file that is no
// module, sections that announce more than they hold, and imports that no host
// function answers. It does not validate code, which the engine does.
func Check(engine string, module []byte) ([]wasmbin.Section, *wasmbin.Outline, error) {
	if err := wasmbin.CoreModule(engine, module); err != nil {
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
	return sections, outline, checkImports(outline)
}

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
