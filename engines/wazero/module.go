package wazero

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"blazar/engines"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
	"github.com/tetratelabs/wazero"
)

// code is compiled code that any number of Modules share.
type code struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil where interpreted
	compiled wazero.CompiledModule
	outline  *wasmbin.Outline
}

func (c *code) close() error {
	ctx := context.Background() // closing is not to be cut short
	err := c.runtime.Close(ctx)
	if c.cache != nil {
		if e := c.cache.Close(ctx); err == nil {
			err = e
		}
	}
	return err
}

// module is an engines.Module.
type module struct {
	code    *code
	release func() error // called once
}

var _ engines.Module = (*module)(nil)

// Close implements engines.Module.
func (m *module) Close() error { return m.release() }

// New implements engines.Module.
func (m *module) New(_ context.Context, c engines.Config) (engines.Instance, error) {
	if c.System == nil {
		return nil, fmt.Errorf("an instance needs a System: %w", errdefs.ErrInvalidArgument)
	}
	if c.Entry == "" {
		c.Entry = engines.DefaultEntry
	}
	if err := checkEntry(m.code.outline, c.Entry); err != nil {
		return nil, err
	}
	return newInstance(m.code, c), nil
}

// initializer is what a reactor exports to be called before anything else.
// https://github.com/WebAssembly/WASI/blob/main/legacy/application-abi.md
const initializer = "_initialize"

// isEntry reports whether a function of type t can start a guest.
func isEntry(t wasmbin.FuncType) bool {
	return len(t.Params) == 0 && (len(t.Results) == 0 || string(t.Results) == string([]byte{wasmbin.I32}))
}

// checkEntry makes sure that the module can start at the export named entry.
func checkEntry(o *wasmbin.Outline, entry string) error {
	t, ok := o.ExportType(entry)
	if ok && isEntry(t) {
		return nil
	}
	problem := fmt.Sprintf("the module exports no function %.64q to start at", entry)
	if ok {
		problem = fmt.Sprintf("the module's export %.64q is %v, and a guest starts at a function () -> () or () -> (i32)", entry, t)
	}
	var names []string
	for name := range o.Funcs {
		if t, ok := o.ExportType(name); ok && isEntry(t) && name != initializer {
			names = append(names, fmt.Sprintf("%.64q", name))
		}
	}
	slices.Sort(names)
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	would := "no export would do"
	if len(names) > 0 {
		would = "these would do: " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%s; %s: %w", problem, would, errdefs.ErrNotFound)
}
