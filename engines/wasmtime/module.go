//go:build cgo

package wasmtime

/*
#include "glue.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime/cgo"

	"blazar/engines"

	"github.com/containerd/errdefs"
)

// module is an engines.Module.
type module struct {
	engine  *engine
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
	i := &instance{engine: m.engine, code: m.code, config: c, done: make(chan struct{})}
	i.handle = cgo.NewHandle(i)
	i.c = C.bz_new(m.engine.c, m.code.pool, &m.code.text, C.uintptr_t(i.handle), C.uint64_t(c.MemoryLimit))
	if i.c == nil {
		i.handle.Delete()
		return nil, fmt.Errorf("no memory for another instance: %w", errdefs.ErrResourceExhausted)
	}
	return i, nil
}
