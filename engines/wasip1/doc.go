// Package wasip1 is WASI preview 1, once, for every engine: the functions of the
// module wasi_snapshot_preview1 over a System, which is the world one guest sees.
//
// An engine binds Functions as host functions and calls each with the guest's
// memory; the layer never keeps a reference to that memory. Every call that can
// block ends when the System is killed. Specification:
// https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md
package wasip1
