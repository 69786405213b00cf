package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Name is the program that has the daemons alone.
const Name = "blazard"

// Beside returns the path of a program of Blazar's that belongs to this one: beside it
// (a build), or in ../libexec/blazar (an installation). Empty if there is none.
func Beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	dir := filepath.Dir(self)
	for _, path := range []string{
		filepath.Join(dir, name), filepath.Join(dir, "..", "libexec", "blazar", name), filepath.Join(dir, "..", "..", "bin", name),
	} {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// FindProgram returns the path of a program of Blazar's, wasm-task or pod-reaper: Beside
// this one, or in PATH. Where there is none it is the path at which an installation
// would have it.
func FindProgram(name string) string {
	if path := Beside(name); path != "" {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if self, err := os.Executable(); err == nil {
		return filepath.Join(filepath.Dir(self), "..", "libexec", "blazar", name)
	}
	return "/usr/local/libexec/blazar/" + name
}
