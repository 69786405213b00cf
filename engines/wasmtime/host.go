//go:build cgo

package wasmtime

/*
#include "glue.h"
*/
import "C"

import (
	"runtime/cgo"
	"unsafe"

	"blazar/engines/wasip1"
)

// maxParams is more than any function of preview 1 takes (path_open: 9).
const maxParams = 16

// bzCall runs one WASI function for the guest of that handle; non-zero unwinds it.
// base is its memory now, of size bytes; args holds n values, the result last.
//
//export bzCall
func bzCall(h C.uintptr_t, index C.int, base *C.uint8_t, size C.size_t, args *C.wasmtime_val_raw_t, n C.size_t) C.int {
	i := cgo.Handle(h).Value().(*instance)
	f := &i.engine.functions[index]
	raw := unsafe.Slice(args, int(n))
	for j, p := range f.Params {
		v := *(*uint64)(unsafe.Pointer(&raw[j]))
		if p == wasip1.I32 {
			v = uint64(uint32(v)) // the rest of the slot is garbage
		}
		i.args[j] = v
	}
	system := i.config.System
	errno := f.Call(system, unsafe.Slice((*byte)(base), int(size)), i.args[:len(f.Params)])
	if system.Done() {
		return 1
	}
	if !f.NoResult {
		*(*uint64)(unsafe.Pointer(&raw[0])) = uint64(errno)
	}
	return 0
}

// bzOverLimit is told that the guest of that handle, which runs on this thread, is over
// its memory limit and must not go on.
//
//export bzOverLimit
func bzOverLimit(h C.uintptr_t) {
	i := cgo.Handle(h).Value().(*instance)
	go i.end(func() {}) // until Run returns
}
