//go:build !cgo

package builtin

import "blazar/engines"

// registerNative adds nothing: without cgo there is wazero alone.
func registerNative(*engines.Registry) {}
