package doctor

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"blazar/internal/node"
	"blazar/internal/testneeds"
)

// TestWholeNode runs the built `blazar doctor` where pods can run: it finds nothing
// that is wrong.
func TestWholeNode(t *testing.T) {
	testneeds.Root(t)
	top, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	bin, tools := filepath.Join(top, "bin"), filepath.Join(top, ".cache/bin")
	testneeds.File(t, filepath.Join(tools, "containerd"), "`make tools` builds it")
	testneeds.File(t, filepath.Join(bin, "wasm-task"), "`make build` builds it")
	n, err := node.Start(t.Context(), node.Config{Bin: bin, Tools: tools})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "blazar"), "doctor", "--json",
		"--state", filepath.Join(n.Dir, "run/blazar"), "--containerd", n.Containerd(),
		"--containerd-config", filepath.Join(n.Dir, "containerd.toml"), "--layers", n.Dir).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	for _, one := range r.Results {
		if one.Level != OK && one.Check != "kvm" { // which not every machine has, or needs
			t.Errorf("%+v", one)
		}
	}
	if len(r.Results) < 20 || len(r.Engines) == 0 || len(r.Engines[0].Capabilities) == 0 {
		t.Errorf("%d results, engines %+v", len(r.Results), r.Engines)
	}
}
