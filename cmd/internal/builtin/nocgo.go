//go:build !cgo

package builtin

import "blazar/engines"

// registerNative adds nothing: without cgo there is wazero alone.
func registerNative(*engines.Registry) {}

// registerLibraries adds nothing likewise.
func registerLibraries(*engines.Registry, func(string, engines.Factory) engines.Factory) {}
