package main

import (
	"os/exec"
	"strings"
	"testing"
)

// heavy is what blazard is a program of its own to be without. Of a template's methods the
// linker cannot know which are called, and so keeps those of every type.
var heavy = []string{
	"blazar/engines/wasmtime", "blazar/engines/wazero", "blazar/engines/wasmedge", "blazar/oci-wasm/registry",
	"github.com/urfave/cli/v3", "text/template", "html/template", "golang.org/x/net/trace",
	"github.com/containerd/containerd/v2/client",
}

func TestNothingHeavyIsLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", "grpcnotrace", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if len(linked) < 100 {
		t.Fatalf("only %d packages: %s", len(linked), out)
	}
	for _, p := range linked {
		for _, h := range heavy {
			if p == h {
				t.Errorf("blazard links %s", p)
			}
		}
	}
}
