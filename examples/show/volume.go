package show

import (
	"os"
	"path/filepath"
	"strings"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// volumeIn makes the volumes of one run in a folder.
func volumeIn(dir string) func(name string) string {
	return func(name string) string { return filepath.Join(dir, name) }
}

// mount mounts a volume, which is made when it is not there: open to every uid, as
// Kubernetes makes them for a pod.
func mount(volume func(string) string, name, path string) *runtime.Mount {
	name, readonly := strings.CutSuffix(name, ":ro")
	dir := volume(name)
	// CRI reports a folder that could not be made.
	if os.MkdirAll(dir, 0o755) == nil {
		_ = os.Chmod(dir, 0o777)
		_ = os.WriteFile(filepath.Join(dir, "given.txt"), []byte("given by the host\n"), 0o666)
	}
	return &runtime.Mount{HostPath: dir, ContainerPath: path, Readonly: readonly}
}
