// Package builtin is the list of what the binaries of this module are built with.
package builtin

import (
	"blazar/engines"
	"blazar/engines/wazero"
)

// Engines is a registry of the engines in this binary, the preferred one first, for
// a process that compiles or runs modules. Nothing is loaded before an engine is
// opened.
func Engines() *engines.Registry {
	r := &engines.Registry{}
	registerNative(r)
	r.Register(wazero.Name, wazero.New)
	registerLibraries(r, func(_ string, f engines.Factory) engines.Factory { return f })
	return r
}
