package doctor

import (
	"context"
	"os"
	"path/filepath"

	"blazar/engines"
)

// Engines is what a check needs of engines.Registry.
type Engines interface {
	Names() []string
	Open(ctx context.Context, name string) (engines.Engine, error)
}

// Host is what the checks look at.
type Host struct {
	// Root is put before every path; empty for the real host.
	Root string
	// Euid is the effective user id of this process.
	Euid int
	// ConfigErr says why Blazar's own configuration cannot be used; nil when it can.
	ConfigErr error
	// Strict is set where a pod is refused rather than confined more weakly.
	Strict bool
	// Kernel asks the running kernel.
	Kernel Kernel
	// Containerd is what the running daemon said; nil when it could not be asked,
	// and then ContainerdErr says why.
	Containerd    *Containerd
	ContainerdErr error
	// File is containerd's configuration as written; nil when there is none or it
	// cannot be read, and then FileErr says why.
	File    *FileConfig
	FileErr error
	// Engines are those this binary was built with.
	Engines Engines
	// WasmTask is the path of the wasm-task binary.
	WasmTask string
	// Runc is the OCI runtime, a path or a name to look for in PATH; Reaper the path
	// of pod-reaper.
	Runc, Reaper string
	// Sockets are the sandboxers' sockets by kind, and that of the task server, taskd.
	Sockets map[string]string
	// ContainerdAddress is the daemon's socket.
	ContainerdAddress string
}

// Kernel is the running kernel, as far as it must be tried to be known.
type Kernel struct {
	// Try reports why a feature does not work; nil when it does.
	Try func(Feature) error
	// KVMVersion opens a KVM device and returns its API version.
	KVMVersion func(path string) (int, error)
}

func (h *Host) path(p string) string { return filepath.Join("/", h.Root, p) }

func (h *Host) read(p string) ([]byte, error) { return os.ReadFile(h.path(p)) }

// executable says whether a regular file that may be executed is at p.
func (h *Host) executable(p string) bool {
	st, err := os.Stat(h.path(p))
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}
