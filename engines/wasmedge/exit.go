//go:build cgo && linux && amd64

package wasmedge

/*
#include "glue.h"
*/
import "C"

import (
	"fmt"

	"blazar/engines"
	"blazar/engines/internal/report"

	"github.com/containerd/errdefs"
)

// trapKinds maps WasmEdge's result codes (enum_errcode.h of version 0.14) to the words
// that all engines share.
var trapKinds = map[uint32]string{
	0x403: engines.TrapSignature,
	0x404: engines.TrapDivideByZero,
	0x405: engines.TrapOverflow,
	0x406: engines.TrapConversion,
	0x407: engines.TrapTable,
	0x408: engines.TrapMemory,
	0x40a: engines.TrapUnreachable,
	0x40b: engines.TrapIndirectNull,
	0x40c: engines.TrapTable,
	0x40d: engines.TrapSignature,
}

// Codes that are no traps.
const (
	codeTerminated  = 0x001 // by a host function
	codeInterrupted = 0x007 // by the stop token
	phaseExecution  = 4
)

// exit says how the guest ended. What it did itself comes first: a guest that has
// called proc_exit or returned was not killed, however close the call.
func (i *instance) exit(x C.bz_we_exit) engines.Exit {
	text := ""
	if x.text != nil {
		text = report.Message(takeString(x.text))
	}
	code := uint32(x.code)
	if x.over_limit != 0 {
		return grownTooFar(uint64(C.bz_we_memory(i.c)), i.config.MemoryLimit)
	}
	if code == 0 {
		return engines.Exit{Code: uint32(x.result)}
	}
	if code, ok := i.config.System.ExitCode(); ok {
		return engines.Exit{Code: code}
	}
	i.mu.Lock()
	killed := i.killed || i.config.System.Killed()
	i.mu.Unlock()
	if killed && (code == codeTerminated || code == codeInterrupted) {
		return engines.Exit{Killed: true}
	}
	if code>>8 != phaseExecution {
		return engines.Exit{Err: fmt.Errorf("wasmedge: %s (code 0x%x): %w", text, code, errdefs.ErrInternal)}
	}
	kind := trapKinds[code]
	switch {
	case x.overflow != 0:
		kind, text = engines.TrapStackOverflow, fmt.Sprintf("the guest's stack of %s is used up", report.Size(C.BZ_STACK_SIZE))
	case kind == "":
		kind = engines.TrapUnknown
	}
	trap := &engines.Trap{Kind: kind, Message: text}
	if x.function >= 0 {
		trap.Function = i.m.code.names.name(uint32(x.function))
	}
	return engines.Exit{Trap: trap}
}

func outOfMemory(asked, limit uint64) engines.Exit {
	return engines.Exit{OOM: true, Detail: report.OutOfMemory(asked, limit)}
}

// grownTooFar is the end of a guest that has size bytes and was refused more. How
// much it asked for is known to it alone.
func grownTooFar(size, limit uint64) engines.Exit {
	return engines.Exit{OOM: true, Detail: fmt.Sprintf("out of memory: the guest has %s of linear memory and asked for more than the limit, %s",
		report.Size(size), report.Size(limit))}
}
