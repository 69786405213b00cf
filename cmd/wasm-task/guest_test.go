package main

import (
	"os"
	"testing"

	"blazar/cmd/internal/builtin"
	"blazar/wasmsandboxer/host"
)

// The daemon's module runs, on the engine that pods get who choose none, or the first
// guest of every pod waits for what a rehearsal should have brought into memory.
func TestRehearsal(t *testing.T) {
	registry := builtin.Engines()
	for _, name := range []string{"wasmtime", "wazero"} { // WasmEdge is never prepared
		t.Run(name, func(t *testing.T) {
			e, err := registry.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := e.Compile(t.Context(), host.RehearsalModule(), dir); err != nil {
				t.Fatal(err)
			}
			if err := runGuest(t.Context(), e, dir); err != nil {
				t.Error(err)
			}
			if err := rehearseGuest(registry, name, dir); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRehearsalWithoutArtifact(t *testing.T) {
	registry := builtin.Engines()
	name := registry.Names()[0]
	e, err := registry.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := runGuest(t.Context(), e, t.TempDir()); err == nil {
		t.Error("an empty directory was run")
	}
	if err := rehearseGuest(registry, name, os.DevNull); err != nil {
		t.Errorf("a rehearsal that fails ends the wasm-task: %v", err)
	}
	if err := rehearseGuest(registry, "none", ""); err == nil {
		t.Error("there is no such engine")
	}
}
