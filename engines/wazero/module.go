package wazero

import (
	"context"

	"blazar/engines"
	"blazar/engines/internal/prepare"

	"github.com/tetratelabs/wazero"
)

// code is compiled code that any number of Modules share.
type code struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil where interpreted
	compiled wazero.CompiledModule
	shape    prepare.Shape
}

// Close frees the code; nothing may use it any more.
func (c *code) Close() error {
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
	if err := m.code.shape.CheckConfig(&c); err != nil {
		return nil, err
	}
	return newInstance(m.code, c), nil
}
