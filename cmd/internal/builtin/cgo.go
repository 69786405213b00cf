//go:build cgo

package builtin

import (
	"blazar/engines"
	"blazar/engines/wasmtime"
)

// registerNative adds the engines that are bound through cgo.
func registerNative(r *engines.Registry) {
	r.Register(wasmtime.Name, wasmtime.New)
}
