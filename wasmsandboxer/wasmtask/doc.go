// Package wasmtask runs containers on threads of a wasm-task: a task.Runtime over
// the engines and the WASI layer, without any privilege. What needs one is asked
// of the host service in the daemon (package hostapi).
//
// A container is a guest on an OS thread of its own. Its files are below the
// process's root, prepared by the daemon before the module is loaded; nothing of
// the guest runs before Start. After the guest has ended its descriptors are
// closed at once, so that listeners and volumes are free before Delete.
//
// A container that has a process of its own, a worker, which is the same program, is
// passed on to it (isolated): the worker serves the Task API over the one connection
// that the daemon made between the two, and hands its events back over it (Feed).
//
// This package is linked into wasm-task: no gRPC, no net/http, no cgroups library.
package wasmtask
