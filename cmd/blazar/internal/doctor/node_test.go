package doctor

import (
	"path/filepath"
	"testing"

	"blazar/cmd/internal/builtin"
	"blazar/internal/node"
	"blazar/internal/testneeds"
)

// TestWholeNode looks at a node where pods can run, and finds nothing that is wrong.
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
	c, err := Ask(t.Context(), n.Containerd())
	if err != nil {
		t.Fatal(err)
	}
	file, err := ReadConfig("", filepath.Join(n.Dir, "containerd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	r := Run(t.Context(), &Host{
		Kernel: RealKernel(n.Dir), Strict: true, Engines: builtin.Described(filepath.Join(bin, "blazar"), ""), WasmTask: filepath.Join(bin, "wasm-task"),
		Sockets:           map[string]string{"wasm": filepath.Join(n.Dir, "run/blazar/wasm.sock")},
		ContainerdAddress: n.Containerd(), Containerd: c, File: file,
	}, Checks)
	for _, one := range r.Results {
		if one.Level != OK && one.Check != "kvm" && one.Check != "engine wasmedge" { // which not every machine has, or needs
			t.Errorf("%+v", one)
		}
	}
	if len(r.Results) < 20 || len(r.Engines) == 0 || len(r.Engines[0].Capabilities) == 0 {
		t.Errorf("%d results, engines %+v", len(r.Results), r.Engines)
	}
}
