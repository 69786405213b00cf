// Package wasmtime runs modules on Wasmtime: optimised machine code, mapped from the
// artifact, with nothing in it that asks whether it is to end. A guest is killed by a
// signal to its thread (interrupt.h). Baseline code, and all code on other machines than
// amd64, has epochs instead, which are bumped only when something is killed.
//
// It binds the C API whose static library ships in the Go module wasmtime-go,
// because that module's Go API lacks epoch callbacks, unchecked host functions
// and memory creators. Without cgo the package is empty.
package wasmtime
