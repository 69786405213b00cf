// Package builtin is the list of what the binaries of this module are built with.
package builtin

import (
	"blazar/engines"
	"blazar/engines/wazero"
)

// Engines is a registry of the engines in this binary, the preferred one first.
// Nothing is loaded before an engine is opened.
func Engines() *engines.Registry {
	r := &engines.Registry{}
	registerNative(r)
	r.Register(wazero.Name, wazero.New)
	return r
}
