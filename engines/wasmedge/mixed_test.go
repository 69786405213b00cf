//go:build cgo && linux && amd64

package wasmedge

import (
	"os"
	"os/exec"
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"
	"blazar/engines/wasmtime"
	"blazar/engines/wazero"
)

// lastEnv makes TestThreeEngines open WasmEdge after the others.
const lastEnv = "WASMEDGE_LAST"

// TestThreeEngines runs guests of all engines in this one process at the same time.
func TestThreeEngines(t *testing.T) {
	factories := []engines.Factory{New, wasmtime.New, wazero.New}
	if os.Getenv(lastEnv) != "" {
		factories = []engines.Factory{wasmtime.New, wazero.New, New}
	} else {
		_ = open(t) // says what is needed
	}
	var all []engines.Engine
	for _, factory := range factories {
		e, err := factory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	enginetest.RunMixed(t, all)
}

// TestThreeEnginesLast has the handlers of signals in the other order, which takes
// another process.
func TestThreeEnginesLast(t *testing.T) {
	_ = open(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestThreeEngines$", "-test.v")
	cmd.Env = append(os.Environ(), lastEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
