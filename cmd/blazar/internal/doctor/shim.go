package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
)

// shimBinary is the name that containerd derives from runtimeType.
const shimBinary = "containerd-shim-blazar-v1"

// servicePath is systemd's PATH for services, where containerd looks when it
// cannot be asked.
var servicePath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"}

func checkShim(ctx context.Context, h *Host) []Result {
	const name = "shim"
	dirs := servicePath
	if h.Containerd != nil {
		dirs = h.Containerd.Path
	}
	for _, dir := range dirs {
		if !h.executable(filepath.Join(dir, shimBinary)) {
			continue
		}
		path := h.path(filepath.Join(dir, shimBinary))
		v, err := askShim(ctx, path)
		if err != nil {
			return fail(name, fmt.Sprintf("%s: %v", path, err), "install it anew with `blazar install`")
		}
		return ok(name, path+" "+v)
	}
	return fail(name, shimBinary+" is not in containerd's PATH: "+strings.Join(dirs, ":"), "run `blazar install`: containerd starts no container without it")
}

// askShim runs the shim as containerd does and returns its version.
func askShim(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "-info").Output()
	if err != nil {
		return "", err
	}
	var info types.RuntimeInfo
	if err := proto.Unmarshal(out, &info); err != nil {
		return "", fmt.Errorf("-info is no RuntimeInfo: %w", err)
	}
	if info.Name != runtimeType {
		return "", fmt.Errorf("is the shim of %q", info.Name)
	}
	return info.Version.GetVersion(), nil
}
