//go:build cgo && linux && amd64

package wasmedge

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"context"
	"fmt"
	"path/filepath"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/artifact"
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/report"

	"github.com/containerd/errdefs"
)

// code is a mapped artifact that any number of Modules share.
type code struct {
	ast   *C.WasmEdge_ASTModuleContext
	shape prepare.Shape
	names names
}

func load(dir string, m *artifact.Manifest) (*code, error) {
	if err := m.Verify(dir); err != nil {
		return nil, err
	}
	names, err := m.ReadFile(dir, namesFile)
	if err != nil {
		return nil, err
	}
	c := &code{shape: m.Shape, names: names}
	path := C.CString(filepath.Join(dir, codeFile))
	defer C.free(unsafe.Pointer(path))
	if text := C.bz_we_load(path, &c.ast); text != nil {
		return nil, fmt.Errorf("the artifact in %s cannot be used (%s); compile the module again: %w",
			dir, report.Message(takeString(text)), errdefs.ErrFailedPrecondition)
	}
	return c, nil
}

// Close unmaps the code; nothing may use it any more.
func (c *code) Close() error {
	C.bz_we_unload(c.ast)
	return nil
}

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
	return newInstance(m, c)
}
