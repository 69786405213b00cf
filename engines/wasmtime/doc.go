// Package wasmtime runs modules on Wasmtime: optimised machine code, mapped from
// the artifact, killable through epochs that are bumped only when something is
// killed.
//
// It binds the C API whose static library ships in the Go module wasmtime-go,
// because that module's Go API lacks epoch callbacks, unchecked host functions
// and memory creators. Without cgo the package is empty.
package wasmtime
