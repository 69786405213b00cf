package lab

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPeersThatAreInstalled(t *testing.T) {
	dir := t.TempDir()
	saved := programDirs
	programDirs = []string{dir}
	t.Cleanup(func() { programDirs = saved })
	found := func(name string) map[string]any {
		for _, p := range peers {
			if p.name == name {
				table, _ := p.find(t.Context(), "/run/x")
				return table
			}
		}
		t.Fatalf("no peer %s", name)
		return nil
	}
	install := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range peers {
		if table := found(p.name); table != nil {
			t.Errorf("%s is found in an empty directory: %v", p.name, table)
		}
	}
	install("containerd-shim-wasmtime-v1", "")
	if table := found("runwasi-wasmtime"); table["runtime_type"] != "io.containerd.wasmtime.v1" {
		t.Errorf("%v", table)
	}
	if table := found("runwasi-wasmedge"); table != nil {
		t.Errorf("%v", table)
	}
	install("crun", "echo crun version 1; echo +SYSTEMD +SELINUX")
	if table := found("crun-wasm"); table != nil {
		t.Errorf("a crun without a wasm engine is taken: %v", table)
	}
	install("crun", "echo crun version 1; echo +SYSTEMD +WASM:wasmtime")
	options, ok := found("crun-wasm")["options"].(map[string]any)
	if !ok || options["BinaryName"] != filepath.Join(dir, "crun") || options["Root"] != "/run/x/crun" {
		t.Errorf("%v", options)
	}
}
