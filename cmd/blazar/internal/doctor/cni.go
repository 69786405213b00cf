package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// network is what matters here of a CNI configuration, of one plugin or a list.
type network struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Plugins []struct {
		Type string `json:"type"`
	} `json:"plugins"`
}

// checkCNI never fails: pods in the host's network do without.
func checkCNI(_ context.Context, h *Host) []Result {
	const name = "cni"
	var cri *CRI
	if h.Containerd != nil {
		cri = h.Containerd.CRI
	}
	conf, bin := cri.cniDirs()
	file, n, err := h.firstNetwork(conf)
	if err != nil {
		return warn(name, err.Error(), "mend the file: containerd reports its network as not ready")
	}
	if file == "" {
		return warn(name, "no network is configured in "+conf, "put a CNI configuration there; until then only pods with host network start")
	}
	var missing []string
	for _, plugin := range n.types() {
		if !slices.ContainsFunc(bin, func(dir string) bool { return h.executable(filepath.Join(dir, plugin)) }) {
			missing = append(missing, plugin)
		}
	}
	if len(missing) > 0 {
		return warn(name, fmt.Sprintf("%s needs %s, not in %s", file, strings.Join(missing, ", "), strings.Join(bin, ", ")),
			"install the CNI plugins (Debian: containernetworking-plugins) and point bin_dirs of containerd's CNI configuration at them")
	}
	return ok(name, "network "+n.Name+" of "+file)
}

// firstNetwork reads the first configuration by name, as containerd does.
func (h *Host) firstNetwork(dir string) (string, network, error) {
	var files []string
	for _, pattern := range []string{"*.conf", "*.conflist", "*.json"} {
		found, err := filepath.Glob(h.path(filepath.Join(dir, pattern)))
		if err != nil {
			return "", network{}, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return "", network{}, nil
	}
	file := slices.Min(files)
	b, err := h.read(strings.TrimPrefix(file, strings.TrimSuffix(h.path("/"), "/")))
	if err != nil {
		return "", network{}, err
	}
	var n network
	if err := json.Unmarshal(b, &n); err != nil {
		return "", network{}, fmt.Errorf("%s: %w", file, err)
	}
	if len(n.types()) == 0 {
		return "", network{}, fmt.Errorf("%s names no plugin", file)
	}
	return file, n, nil
}

func (n network) types() []string {
	var types []string
	if n.Type != "" {
		types = append(types, n.Type)
	}
	for _, p := range n.Plugins {
		types = append(types, p.Type)
	}
	return types
}
