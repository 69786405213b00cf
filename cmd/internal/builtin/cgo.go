//go:build cgo

package builtin

import (
	"blazar/engines"
	"blazar/engines/wasmedge"
	"blazar/engines/wasmtime"
)

// registerNative adds the engines that are bound through cgo.
func registerNative(r *engines.Registry) {
	r.Register(wasmtime.Name, wasmtime.New)
}

// registerLibraries adds those over libraries of the host, last: nobody gets one who
// does not ask. wrap may put another factory in the place of each.
func registerLibraries(r *engines.Registry, wrap func(name string, f engines.Factory) engines.Factory) {
	r.Register(wasmedge.Name, wrap(wasmedge.Name, wasmedge.New))
}
