// Package hostapi is the protocol between a wasm-task, which holds no privilege,
// and the host service of its pod in the daemon, which does for it what needs one:
// mount a container's files, open its FIFOs, find and compile its module, hand on
// its events.
//
// The carrier is a SOCK_SEQPACKET connection: one JSON message per packet, file
// descriptors beside it (SCM_RIGHTS). Only the wasm-task asks, only the daemon
// answers; many requests may be in flight, told apart by id. A reply too large for
// a packet travels in a sealed memfd. Every method is idempotent, so that a
// wasm-task repeats what it does not know the outcome of after its daemon was
// restarted; the new daemon then connects to the wasm-task, never the other way
// round.
//
// The daemon trusts nothing it reads: unknown fields, methods and oversized
// messages are errors. The wasm-task, which may be older than its daemon, ignores
// fields it does not know.
package hostapi
