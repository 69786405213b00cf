//go:build cgo

package wasmtime

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"sync"
	"time"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/report"

	"github.com/containerd/errdefs"
)

// instance is an engines.Instance over one store. Run owns the store while it
// runs; mu lets other goroutines look at the instance without meeting Close.
type instance struct {
	engine *engine
	code   *code
	config engines.Config
	handle cgo.Handle        // what C knows the instance by
	args   [maxParams]uint64 // of the host call that runs; the guest's goroutine only
	done   chan struct{}     // closed when Run returns

	mu      sync.Mutex     // guards the fields below; never held while the guest runs
	c       *C.bz_instance // nil once closed
	started bool
	killed  bool
}

var (
	_ engines.Instance       = (*instance)(nil)
	_ engines.MemoryReporter = (*instance)(nil)
	_ engines.MemoryLimiter  = (*instance)(nil)
)

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
	exit := i.exit(i.run())
	C.bz_end(i.c)
	return exit
}

func (i *instance) run() C.bz_exit {
	entry := C.CString(i.config.Entry)
	defer C.free(unsafe.Pointer(entry))
	var initialize *C.char
	if name := i.code.shape.Initializer(i.config.Entry); name != "" {
		initialize = C.CString(name)
		defer C.free(unsafe.Pointer(initialize))
	}
	results := len(i.code.shape.Funcs[i.config.Entry].Results)
	return C.bz_run(i.c, i.code.pre, initialize, entry, C.int(results))
}

// exit says how the guest ended. What it did itself comes first: a guest that
// has called proc_exit or returned was not killed, however close the call.
func (i *instance) exit(x C.bz_exit) engines.Exit {
	text, function := C.GoString(x.text), C.GoString(x.function)
	C.free(unsafe.Pointer(x.text))
	C.free(unsafe.Pointer(x.function))
	if account := C.bz_account_of(i.c); account.asked > 0 { // written by Run only
		return engines.Exit{OOM: true, Detail: report.OutOfMemory(uint64(account.asked), uint64(account.refused_by))}
	}
	if x.kind == C.BZ_RETURNED {
		return engines.Exit{Code: uint32(x.result)}
	}
	if code, ok := i.config.System.ExitCode(); ok {
		return engines.Exit{Code: code}
	}
	if kind, ok := trapKind(x.kind == C.BZ_TRAP, int(x.trap_code)); ok {
		switch {
		case function != "":
			function = report.Function(function)
		case x.has_frame != 0:
			function = report.FunctionIndex(uint32(x.function_index))
		}
		return engines.Exit{Trap: &engines.Trap{Kind: kind, Function: function, Message: report.Message(text)}}
	}
	if i.isKilled() || i.config.System.Killed() {
		return engines.Exit{Killed: true}
	}
	return engines.Exit{Err: fmt.Errorf("wasmtime: %s: %w", report.Message(text), errdefs.ErrInternal)}
}

func (i *instance) isKilled() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.killed
}

// Kill implements engines.Instance. A guest that computes is interrupted by a signal,
// or looks at the epoch at every loop and call, so that the first attempt nearly always
// suffices; blocked host calls are woken through the System.
func (i *instance) Kill() {
	i.mu.Lock()
	i.killed = true
	started := i.started
	if i.c != nil {
		C.bz_stop(i.c)
	}
	i.mu.Unlock()
	if started {
		i.end(i.config.System.Kill)
	}
}

// The pause between attempts to end a guest.
const (
	pauseFirst = 100 * time.Microsecond
	pauseMost  = 5 * time.Millisecond
)

// end makes one attempt after another to end a guest that was told to stop, until it has.
func (i *instance) end(wake func()) {
	for pause := pauseFirst; ; pause = min(2*pause, pauseMost) {
		wake()
		C.wasmtime_engine_increment_epoch(i.engine.c)
		i.interrupt()
		select {
		case <-i.done:
			return
		case <-time.After(pause):
		}
	}
}

// interrupt sends the guest's thread a signal.
func (i *instance) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c != nil {
		C.bz_interrupt_send(C.bz_interrupt_of(i.c))
	}
}

// MemoryBytes implements engines.MemoryReporter.
func (i *instance) MemoryBytes() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c == nil {
		return 0
	}
	return uint64(C.bz_account_used(C.bz_account_of(i.c)))
}

// SetMemoryLimit implements engines.MemoryLimiter.
func (i *instance) SetMemoryLimit(bytes uint64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c == nil {
		return nil
	}
	var used C.uint64_t
	if C.bz_account_limit(C.bz_account_of(i.c), C.uint64_t(bytes), &used) != 0 {
		return nil
	}
	return report.LimitBelow(bytes, uint64(used))
}

// Close implements engines.Instance.
func (i *instance) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.c == nil {
		return nil
	}
	if i.started {
		select {
		case <-i.done:
		default:
			return fmt.Errorf("close an instance that is running: %w", errdefs.ErrFailedPrecondition)
		}
	}
	C.bz_free(i.c)
	i.c = nil
	i.handle.Delete()
	return nil
}
