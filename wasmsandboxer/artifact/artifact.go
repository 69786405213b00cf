// Package artifact says how a compiled module is named and what an engine takes:
// the same for the pod that runs a module and for whoever compiles it ahead, since
// the one must find what the other made.
package artifact

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
)

// Key names what the engine makes of the module on this machine.
func Key(module digest.Digest, e engines.Info) ociwasm.Key {
	return ociwasm.Key{Digest: module, Engine: e.Name, Version: e.Version, Settings: e.Settings, CPU: ociwasm.HostCPU()}
}

// Abilities is what the image package wants to know of an engine.
func Abilities(e engines.Info) ociwasm.Abilities {
	return ociwasm.Abilities{Engine: e.Name, Components: strings.HasPrefix(e.Capabilities["components"], "yes")}
}
