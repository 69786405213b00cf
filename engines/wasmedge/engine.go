//go:build cgo && linux && amd64

// Package wasmedge runs modules on WasmEdge: machine code that LLVM has compiled
// ahead of time. It is not linked to libwasmedge but opens it at first use, so that
// one binary works with and without it.
//
// A guest runs on a stack of its own, whose guard no frame can step over. The
// library's handling of signals, made for a process of its own, is fenced in:
// signals.c says how.
package wasmedge

/*
#cgo CFLAGS: -O2 -std=gnu11 -Wall -Wextra
#cgo LDFLAGS: -ldl -lpthread
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/artifact"
	"blazar/engines/internal/report"
	"blazar/engines/internal/shared"
	"blazar/engines/wasip1"

	"github.com/containerd/errdefs"
)

// Files of an artifact.
const (
	codeFile  = C.BZ_GUEST_FILE
	namesFile = "names" // see names
)

// engine is the process's WasmEdge.
type engine struct {
	info      engines.Info
	functions []wasip1.Function
	loaded    shared.Pool[*code]
}

var _ engines.Engine = (*engine)(nil)

// One engine per process: there is one library, and one table of its functions.
var (
	mu     sync.Mutex // guards single
	single *engine
)

// New returns the process's WasmEdge engine; it is an engines.Factory. Without a
// library that fits the error is errdefs.ErrNotFound or errdefs.ErrUnavailable and
// says how to get one; a later call looks again.
func New(context.Context) (engines.Engine, error) {
	mu.Lock()
	defer mu.Unlock()
	if single != nil {
		return single, nil
	}
	version, err := findLibrary()
	if err != nil {
		return nil, err
	}
	e := &engine{info: info(version), functions: wasip1.Functions()}
	for i, f := range e.functions {
		if err := define(i, f); err != nil {
			return nil, err
		}
	}
	single = e
	return e, nil
}

// define makes the type of one host function known.
func define(index int, f wasip1.Function) error {
	name := C.CString(f.Name)
	defer C.free(unsafe.Pointer(name))
	params := make([]byte, len(f.Params)+1)
	for i, p := range f.Params {
		if p == wasip1.I64 {
			params[i] = 1
		}
	}
	if C.bz_we_define(C.int(index), name, (*C.uint8_t)(&params[0]), C.uint32_t(len(f.Params)), truth(!f.NoResult)) != 0 {
		return fmt.Errorf("wasmedge: bind %s: %w", f.Name, errdefs.ErrInternal)
	}
	return nil
}

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Info implements engines.Engine.
func (e *engine) Info() engines.Info { return e.info }

// Compile implements engines.Engine.
func (e *engine) Compile(ctx context.Context, module []byte, dir string) error {
	p, err := newPrepared(module)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("compile the module: %w", err)
	}
	path := C.CString(filepath.Join(dir, codeFile))
	defer C.free(unsafe.Pointer(path))
	var result C.uint32_t
	text := C.bz_we_compile((*C.uint8_t)(unsafe.Pointer(&p.module[0])), C.uint64_t(len(p.module)), path, &result)
	if text != nil {
		return compileError(takeString(text), uint32(result))
	}
	if p.refused != nil {
		return fmt.Errorf("the module needs what the engine wasmedge does not have: %w", p.refused)
	}
	if err := artifact.WriteFile(filepath.Join(dir, namesFile), p.names); err != nil {
		return err
	}
	return artifact.Write(dir, e.info, module, p.shape)
}

// The phases in which WasmEdge finds a module invalid are in its error codes
// (enum_errcode.h): loading is 0x01xx, validation 0x02xx.
const (
	phaseLoading    = 1
	phaseValidation = 2
)

func compileError(text string, code uint32) error {
	text = report.Message(text)
	if phase := code >> 8; phase == phaseLoading || phase == phaseValidation {
		return fmt.Errorf("invalid module: %s: %w", text, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("wasmedge cannot compile the module: %s (code 0x%x): %w", text, code, errdefs.ErrInternal)
}

// Load implements engines.Engine. Modules of the same content share their code
// while any of them is open.
func (e *engine) Load(_ context.Context, dir string) (engines.Module, error) {
	m, err := artifact.Read(dir, e.info)
	if err != nil {
		return nil, err
	}
	c, release, err := e.loaded.Get(m.Digest, func() (*code, error) { return load(dir, m) })
	if err != nil {
		return nil, err
	}
	return &module{engine: e, code: c, release: release}, nil
}

func takeString(s *C.char) string {
	defer C.free(unsafe.Pointer(s))
	return C.GoString(s)
}
