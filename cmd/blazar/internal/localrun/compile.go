package localrun

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
)

// compiler compiles in this process: it is the user's own and ends with the
// guest, and for a small module a child would take longer than the compilation.
type compiler struct{ engines *engines.Registry }

var _ ociwasm.Compiler = compiler{}

// Compile implements ociwasm.Compiler.
func (c compiler) Compile(ctx context.Context, engine string, module *os.File, dir string) error {
	e, err := c.engines.Open(ctx, engine)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(module)
	if err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	return e.Compile(ctx, b, dir)
}

// openCache opens the cache of compiled modules, which nobody but the user may
// have written to: it holds native code.
func openCache(o Options) (*ociwasm.Cache, error) {
	dir := o.Cache
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no place for compiled modules (%w); name a directory with --cache", err)
		}
		dir = filepath.Join(user, "blazar", "compiled")
	}
	return ociwasm.OpenCache(dir, ociwasm.CacheOptions{Compiler: compiler{o.Engines}})
}
