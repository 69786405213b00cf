package main

import (
	"os"
	"os/exec"
	"path/filepath"
)

// findWasmTask returns the path of the wasm-task binary: beside this one (a
// build), in ../libexec/blazar (an installation), or in PATH. Where there is none
// it is the path at which an installation would have it.
func findWasmTask() string {
	const name = "wasm-task"
	installed := "/usr/local/libexec/blazar/" + name
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		installed = filepath.Join(dir, "..", "libexec", "blazar", name)
		for _, path := range []string{filepath.Join(dir, name), installed} {
			if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
				return path
			}
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return installed
}
