package wazero

import (
	"context"
	"fmt"

	"blazar/engines/wasip1"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// features are the proposals a guest may use: version 2 of the core
// specification and two small ones that compilers emit. Threads stay off, since a
// guest in memory.atomic.wait cannot be ended.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// instanceKey finds the *instance in the context of a guest's calls.
type instanceKey struct{}

// newRuntime makes a wazero runtime with the WASI functions in it.
//
// CloseOnContextDone stays on even where nobody would ever kill: without it a
// busy guest never yields to Go's scheduler, and the next garbage collection
// stops the process. Debug information stays off: with it, ending a guest takes
// milliseconds, spent in the guest's DWARF.
func newRuntime(ctx context.Context, c wazero.RuntimeConfig) (wazero.Runtime, error) {
	r := wazero.NewRuntimeWithConfig(ctx, c.
		WithCoreFeatures(features).
		WithCloseOnContextDone(true).
		WithDebugInfoEnabled(false))
	b := r.NewHostModuleBuilder(wasip1.ModuleName)
	for _, f := range wasip1.Functions() {
		var params, results []api.ValueType
		for _, p := range f.Params {
			if p == wasip1.I64 {
				params = append(params, api.ValueTypeI64)
			} else {
				params = append(params, api.ValueTypeI32)
			}
		}
		if !f.NoResult {
			results = []api.ValueType{api.ValueTypeI32}
		}
		b.NewFunctionBuilder().WithGoModuleFunction(hostFunction(f), params, results).Export(f.Name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		_ = r.Close(ctx) // the first error tells more
		return nil, fmt.Errorf("bind the WASI functions to wazero: %w", err)
	}
	return r, nil
}

// hostFunction binds one WASI function. Its panic with a sys.ExitError is how
// wazero wants a guest to be unwound.
func hostFunction(f wasip1.Function) api.GoModuleFunc {
	n := len(f.Params)
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		i := ctx.Value(instanceKey{}).(*instance)
		args := stack[:n]
		for j, p := range f.Params {
			if p == wasip1.I32 {
				args[j] = uint64(uint32(args[j])) // the upper half of an i32's slot is garbage
			}
		}
		system := i.config.System
		errno := f.Call(system, i.guestMemory(), args)
		if system.Done() {
			code, _ := system.ExitCode()
			panic(sys.NewExitError(code))
		}
		if !f.NoResult {
			stack[0] = uint64(errno)
		}
	}
}
