//go:build cgo && linux && amd64

package wasmedge

import (
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"
	"blazar/engines/wasmtime"
	"blazar/engines/wazero"
)

// TestThreeEngines runs guests of all engines in this one process at the same time.
func TestThreeEngines(t *testing.T) {
	all := []engines.Engine{open(t)}
	for _, factory := range []engines.Factory{wasmtime.New, wazero.New} {
		e, err := factory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	enginetest.RunMixed(t, all)
}
