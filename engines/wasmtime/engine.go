//go:build cgo

package wasmtime

/*
#cgo CFLAGS: -O2
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/report"
	"blazar/engines/internal/shared"
	"blazar/engines/wasip1"

	_ "github.com/bytecodealliance/wasmtime-go/v44" // carries libwasmtime.a and its linker flags
	"github.com/containerd/errdefs"
)

// Name is the engine's name in annotations.
const Name = "wasmtime"

// version is that of the library in the module imported above; a test compares
// them.
const version = "44.0.0"

// engine is one of the process's Wasmtime engines: that of the optimising compiler, or
// of the baseline one. They live as long as the process.
type engine struct {
	c         *C.wasm_engine_t
	linker    *C.wasmtime_linker_t
	functions []wasip1.Function
	info      engines.Info
	epochs    bool // in the code it makes, which is not interrupted then
	loaded    shared.Pool[*code]
}

var _ engines.Engine = (*engine)(nil)

// One engine of each compiler per process: what they have loaded is shared.
var (
	optimised = sync.OnceValues(func() (*engine, error) { return newEngine(info(), false) })
	baseline  = sync.OnceValues(func() (*engine, error) { return newEngine(baselineInfo(), true) })
)

// New returns the process's Wasmtime engine, made at the first call.
func New(context.Context) (engines.Engine, error) {
	e, err := optimised()
	if err != nil {
		return nil, err
	}
	return tiered{e}, nil
}

// tiered is the engine that people choose.
type tiered struct{ *engine }

var _ engines.Tiered = tiered{}

// Baseline implements engines.Tiered, with Winch. On other machines than amd64 it is
// errdefs.ErrNotImplemented.
func (tiered) Baseline() (engines.Engine, error) {
	e, err := baseline()
	if err != nil {
		return nil, err // not a nil *engine in an interface
	}
	return e, nil
}

func newEngine(i engines.Info, isBaseline bool) (*engine, error) {
	which := C.int(0)
	if isBaseline {
		which = 1
	}
	e := &engine{functions: wasip1.Functions(), info: i, epochs: isBaseline || !interrupts()}
	epochs := C.int(0)
	if e.epochs {
		epochs = 1
	}
	e.c = C.bz_engine_new(which, epochs)
	switch {
	case e.c == nil && isBaseline:
		return nil, fmt.Errorf("wasmtime: this build has no baseline compiler: %w", errdefs.ErrNotImplemented)
	case e.c == nil:
		return nil, fmt.Errorf("wasmtime: the engine cannot be made: %w", errdefs.ErrUnavailable)
	}
	e.linker = C.wasmtime_linker_new(e.c)
	module := C.CString(wasip1.ModuleName)
	defer C.free(unsafe.Pointer(module))
	for i, f := range e.functions {
		name := C.CString(f.Name)
		params := make([]byte, len(f.Params)+1)
		for j, p := range f.Params {
			if p == wasip1.I64 {
				params[j] = 1
			}
		}
		result := C.int(1)
		if f.NoResult {
			result = 0
		}
		err := takeError(C.bz_define(e.linker, module, name, (*C.uint8_t)(&params[0]), C.size_t(len(f.Params)), result, C.int(i)))
		C.free(unsafe.Pointer(name))
		if err != nil {
			return nil, fmt.Errorf("wasmtime: define %s: %w", f.Name, err)
		}
	}
	return e, nil
}

// interrupts says whether guests are ended by a signal on this machine.
func interrupts() bool { return C.bz_interrupt_possible() != 0 }

// Info implements engines.Engine.
func (e *engine) Info() engines.Info { return e.info }

// takeError makes a C error a Go one and frees it; NULL is nil.
func takeError(e *C.wasmtime_error_t) error {
	if e == nil {
		return nil
	}
	s := C.bz_take_error(e)
	defer C.free(unsafe.Pointer(s))
	return errors.New(report.Message(C.GoString(s)))
}
