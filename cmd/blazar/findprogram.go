package main

import (
	"os"
	"os/exec"
	"path/filepath"
)

// findProgram returns the path of a program of Blazar's, wasm-task or pod-reaper:
// beside this one (a build), in ../libexec/blazar (an installation), or in PATH. Where
// there is none it is the path at which an installation would have it.
func findProgram(name string) string {
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
