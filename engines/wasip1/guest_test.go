package wasip1

import (
	"context"
	"fmt"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// runGuest runs a module on wazero over s and returns its exit code. It is the
// smallest binding there is; the product's is the engine's own.
func runGuest(t *testing.T, s *System, module []byte) (uint32, error) {
	t.Helper()
	ctx := t.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	defer func() { _ = rt.Close(context.Background()) }()
	b := rt.NewHostModuleBuilder(ModuleName)
	for _, f := range Functions() {
		params := make([]api.ValueType, len(f.Params))
		for i, p := range f.Params {
			params[i] = api.ValueTypeI32
			if p == I64 {
				params[i] = api.ValueTypeI64
			}
		}
		results := []api.ValueType{api.ValueTypeI32}
		if f.NoResult {
			results = nil
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			args := make([]uint64, len(f.Params))
			for i, p := range f.Params {
				if args[i] = stack[i]; p == I32 {
					args[i] = uint64(uint32(stack[i]))
				}
			}
			mem, _ := m.Memory().Read(0, m.Memory().Size())
			errno := f.Call(s, mem, args)
			if s.Done() {
				code, _ := s.ExitCode()
				panic(sys.NewExitError(code))
			}
			if !f.NoResult {
				stack[0] = uint64(errno)
			}
		}), params, results).Export(f.Name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return 0, err
	}
	_, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithName(""))
	if n := s.panics.Load(); n > 0 {
		return 0, fmt.Errorf("%d panics in host functions", n)
	}
	if code, exited := s.ExitCode(); exited {
		return code, nil
	}
	return 0, err
}
