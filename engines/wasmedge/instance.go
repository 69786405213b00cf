//go:build cgo && linux && amd64

package wasmedge

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"sync"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/growhook"

	"github.com/containerd/errdefs"
)

// instance is an engines.Instance. Run owns the C instance while it runs; mu lets
// other goroutines use it without meeting Close.
type instance struct {
	m      *module
	config engines.Config
	handle cgo.Handle
	done   chan struct{} // closed when Run returns

	mu      sync.Mutex // guards the fields below; never held while the guest runs
	c       *C.bz_we_instance
	started bool
	killed  bool
}

var (
	_ engines.Instance       = (*instance)(nil)
	_ engines.MemoryReporter = (*instance)(nil)
)

// pageSize is the unit a linear memory grows by.
const pageSize = 64 << 10

func newInstance(m *module, c engines.Config) (*instance, error) {
	i := &instance{m: m, config: c, done: make(chan struct{})}
	i.handle = cgo.NewHandle(i)
	limit := int64(-1)
	if c.MemoryLimit > 0 {
		limit = int64(min(c.MemoryLimit/pageSize, 1<<16))
	}
	if i.c = C.bz_we_new(m.code.ast, C.uintptr_t(i.handle), C.int64_t(limit), truth(m.code.shape.Memory)); i.c == nil {
		i.handle.Delete()
		return nil, fmt.Errorf("wasmedge: no memory for another instance: %w", errdefs.ErrResourceExhausted)
	}
	return i, nil
}

// Run implements engines.Instance.
func (i *instance) Run() engines.Exit {
	i.mu.Lock()
	switch {
	case i.started || i.c == nil:
		i.mu.Unlock()
		return engines.Exit{Err: fmt.Errorf("an instance runs once: %w", errdefs.ErrFailedPrecondition)}
	case i.killed:
		i.mu.Unlock()
		return engines.Exit{Killed: true}
	}
	i.started = true
	i.mu.Unlock()
	defer close(i.done)
	if asked, limit := i.m.code.shape.InitialMemory(), i.config.MemoryLimit; limit > 0 && asked > limit {
		return outOfMemory(asked, limit)
	}
	return i.exit(i.call())
}

func (i *instance) call() C.bz_we_exit {
	shape := &i.m.code.shape
	entry, over := C.CString(i.config.Entry), C.CString(growhook.Global)
	defer C.free(unsafe.Pointer(entry))
	defer C.free(unsafe.Pointer(over))
	var initializer *C.char
	if name := shape.Initializer(i.config.Entry); name != "" {
		initializer = C.CString(name)
		defer C.free(unsafe.Pointer(initializer))
	}
	result := truth(len(shape.Funcs[i.config.Entry].Results) > 0)
	first, end := i.m.code.names.own()
	return C.bz_we_run(i.c, initializer, entry, result, over, C.long(first), C.long(end))
}

// MemoryBytes implements engines.MemoryReporter.
func (i *instance) MemoryBytes() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.running() {
		return 0
	}
	return uint64(C.bz_we_memory(i.c))
}

// running is for callers that hold mu.
func (i *instance) running() bool {
	if !i.started || i.c == nil {
		return false
	}
	select {
	case <-i.done:
		return false
	default:
		return true
	}
}

// Close implements engines.Instance.
func (i *instance) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running() {
		return fmt.Errorf("close an instance that is running: %w", errdefs.ErrFailedPrecondition)
	}
	if i.c == nil {
		return nil
	}
	C.bz_we_free(i.c)
	i.c = nil
	i.handle.Delete()
	return nil
}

// bzWasmEdgeCall runs one WASI function; non-zero unwinds the guest. The stack it
// runs on is the thread's own.
//
//export bzWasmEdgeCall
func bzWasmEdgeCall(h C.uintptr_t, index C.int, base *C.uint8_t, size C.uint64_t, args *C.uint64_t, errno *C.uint32_t) C.int {
	i := cgo.Handle(h).Value().(*instance)
	f := &i.m.engine.functions[index]
	var memory []byte
	if base != nil {
		memory = unsafe.Slice((*byte)(base), int(size))
	}
	result := f.Call(i.config.System, memory, unsafe.Slice((*uint64)(args), max(len(f.Params), 1))[:len(f.Params)])
	*errno = C.uint32_t(result)
	return truth(i.config.System.Done())
}
