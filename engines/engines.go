// Package engines is the contract between the code that runs a container and
// the WebAssembly engines that execute its module.
//
// Life cycle: an Engine is made once per process and lives as long as it. Its
// Compile runs in a short-lived child, never in a process that holds guests;
// Load maps what Compile wrote. A Module is shared by every instance made from
// it and is closed after the last of them. An Instance runs once.
//
// Abilities that not every engine has are second interfaces, found by type
// assertion; Info.Capabilities lists them for people.
package engines

import (
	"context"

	"blazar/engines/wasip1"
)

// DefaultEntry is the export that a WASI command starts at.
const DefaultEntry = "_start"

// Engine compiles modules and loads what it compiled. Safe for concurrent use.
type Engine interface {
	// Info describes the engine; it never changes while the process lives.
	Info() Info
	// Compile validates module and writes everything Load needs into the
	// empty, existing directory dir (the artifact). An invalid module is
	// errdefs.ErrInvalidArgument, one that the engine cannot run (a component,
	// an unknown import) errdefs.ErrNotImplemented; both say what was found.
	Compile(ctx context.Context, module []byte, dir string) error
	// Load maps the artifact in dir. The directory may be read-only, and must
	// stay until the Module is closed. Artifacts are native code: the caller
	// vouches for the directory's ownership.
	Load(ctx context.Context, dir string) (Module, error)
}

// Module is a loaded module. Safe for concurrent use.
type Module interface {
	// New prepares an instance; no guest code runs yet. A missing or unsuitable
	// Config.Entry is errdefs.ErrNotFound, naming the exports that would do.
	New(ctx context.Context, c Config) (Instance, error)
	// Close frees the module. Every instance must have been closed before.
	Close() error
}

// Instance is one run of a module.
type Instance interface {
	// Run instantiates the module and calls its entry on the calling goroutine,
	// which the caller has locked to its OS thread, and returns when the guest has
	// ended for whatever reason. It is called at most once.
	Run() Exit
	// Kill ends the guest: blocked host calls are woken, then the engine is
	// interrupted, again and again until Run has returned. It returns when Run
	// has, at once when Run was never called; a later Run returns at once as
	// killed. Any goroutine, any number of times.
	Kill()
	// Close frees the instance; after Run returned or instead of Run. Idempotent.
	// It does not close the System, whose owner is the caller.
	Close() error
}

// MemoryReporter is an Instance that knows the size of its linear memories in
// bytes. Safe while Run runs; zero before and after.
type MemoryReporter interface {
	MemoryBytes() uint64
}

// MemoryLimiter is an Instance whose Config.MemoryLimit can be changed, also while
// Run runs; any goroutine. A limit below what the guest has now is refused with
// errdefs.ErrFailedPrecondition, which names both, and the old one holds. An engine
// whose instances are MemoryLimiters has the capability LiveLimit.
type MemoryLimiter interface {
	SetMemoryLimit(bytes uint64) error
}

// LiveLimit is the row of Info.Capabilities about MemoryLimiter.
const LiveLimit = "memory limit of a running guest"

// Interpreter is an Engine that can run a module without compiling it first.
type Interpreter interface {
	Interpret(ctx context.Context, module []byte) (Module, error)
}

// Tiered is an Engine that has a second compiler: several times as fast, of code that
// is slower. Everything else is the same for a guest; but it may not take every module
// that the first one takes. The baseline engine's name is the first one's and
// BaselineSuffix, which Registry.Open knows too.
type Tiered interface {
	// Baseline returns the baseline engine, whose artifacts only it loads, or
	// errdefs.ErrNotImplemented where there is none on this machine.
	Baseline() (Engine, error)
}

// BaselineSuffix ends the names of baseline engines.
const BaselineSuffix = "-baseline"

// Config is what one instance gets.
type Config struct {
	// System is the instance's WASI world. One System per instance.
	System *wasip1.System
	// Entry is the exported function to call, of type () -> () or () -> i32
	// (the result becomes the exit code). Empty means DefaultEntry.
	Entry string
	// MemoryLimit bounds the sum of the linear memories, in bytes. A guest that
	// asks for more ends with Exit.OOM. Zero: what the module declares.
	MemoryLimit uint64
}

// Info describes an engine.
type Info struct {
	// Name is the word used in annotations: wazero, wasmtime, wasmedge.
	Name string
	// Version is the version of the engine's code.
	Version string
	// Settings names everything besides Version that makes artifacts
	// incompatible (compiler options, CPU features). Part of the cache key.
	Settings string
	// Capabilities are the rows of the capability matrix, by name.
	Capabilities map[string]string
}

// Exit says how a run ended. Exactly one of the following holds: Err is set (the
// guest could not be run), Killed (Kill was called), OOM (over MemoryLimit), Trap
// is set, or none: the guest returned or called proc_exit with Code.
type Exit struct {
	Code   uint32
	Killed bool
	OOM    bool
	Trap   *Trap
	Err    error
	// Detail is, with OOM, what a person should read: how much memory the guest
	// asked for and its limit.
	Detail string
}

// Kinds of traps, the same words for every engine.
const (
	TrapUnreachable   = "unreachable"
	TrapMemory        = "out of bounds memory access"
	TrapTable         = "undefined element"
	TrapIndirectNull  = "uninitialized element"
	TrapSignature     = "indirect call type mismatch"
	TrapDivideByZero  = "integer divide by zero"
	TrapOverflow      = "integer overflow"
	TrapConversion    = "invalid conversion to integer"
	TrapStackOverflow = "call stack exhausted"
	TrapUnknown       = "trap"
)

// Trap is a guest's own failure.
type Trap struct {
	// Kind is one of the Trap constants.
	Kind string
	// Function names the innermost guest function, as the name section or its
	// index gives it; may be empty.
	Function string
	// Message is the engine's own text, backtrace included.
	Message string
}

// Error makes a Trap an error: "wasm trap: <kind> in <function>".
func (t *Trap) Error() string {
	s := "wasm trap: " + t.Kind
	if t.Function != "" {
		s += " in " + t.Function
	}
	return s
}
