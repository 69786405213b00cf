package node

import (
	"fmt"
	"os"

	"github.com/pelletier/go-toml/v2"
)

// Images of the Linux pods that every node has.
const (
	PauseImage = "blazar.invalid/pause:1"
	HelloImage = "blazar.invalid/linux-hello:1"
)

// table is one table of a TOML file.
type table = map[string]any

// writeConfig writes containerd's configuration. It names no TCP port but a free
// one on loopback, which crictl's exec, attach and port-forward are sent to.
func (n *Node) writeConfig() error {
	b, err := toml.Marshal(n.containerdConfig())
	if err != nil {
		return fmt.Errorf("containerd's configuration: %w", err)
	}
	return os.WriteFile(n.path("containerd.toml"), b, 0o600)
}

func (n *Node) containerdConfig() table {
	runtimes := table{
		Handler: table{
			"runtime_type": "io.containerd.runc.v2",
			"sandboxer":    "podsandbox",
			"options": table{
				"BinaryName": n.tool("runc"),
				"Root":       n.path("run", "runc"),
			},
		},
	}
	images := table{
		// Without it a pull of a wasi/wasm image is not unpacked.
		"use_local_image_pull": true,
		"pinned_images":        table{"sandbox": PauseImage},
	}
	config := table{
		"version": 3,
		"root":    n.path("containerd"),
		"state":   n.path("state"),
		"temp":    n.path("tmp"),
		"grpc":    table{"address": n.Containerd()},
		"ttrpc":   table{"address": n.Containerd() + ".ttrpc"},
		"debug":   table{"level": "info"},
		"disabled_plugins": []string{
			"io.containerd.nri.v1.nri",
			"io.containerd.snapshotter.v1.blockfile",
			"io.containerd.snapshotter.v1.btrfs",
			"io.containerd.snapshotter.v1.devmapper",
			"io.containerd.snapshotter.v1.erofs",
			"io.containerd.snapshotter.v1.zfs",
			"io.containerd.tracing.processor.v1.otlp",
			"io.containerd.internal.v1.tracing",
		},
		"plugins": table{
			"io.containerd.internal.v1.opt": table{"path": n.path("opt")},
			"io.containerd.grpc.v1.cri": table{
				"disable_tcp_service":   true,
				"stream_server_address": "127.0.0.1",
				"stream_server_port":    "0",
			},
			"io.containerd.cri.v1.images": images,
			"io.containerd.cri.v1.runtime": table{
				"cdi_spec_dirs": []string{},
				// runc fails where the machine withholds CAP_SYS_RESOURCE otherwise.
				"restrict_oom_score_adj":       true,
				"netns_mounts_under_state_dir": true,
				"enable_unprivileged_ports":    true,
				"cni": table{
					"bin_dirs": []string{cniPlugins()},
					"conf_dir": n.path("cni"),
				},
				"containerd": table{
					"default_runtime_name": Handler,
					"runtimes":             runtimes,
				},
			},
		},
	}
	if dir := n.state.Config.Registries; dir != "" {
		images["registry"] = table{"config_path": dir}
	}
	n.addKinds(config, runtimes)
	return config
}

// cniPlugins is the folder of the CNI plugins: Debian's, or upstream's.
func cniPlugins() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		found := true
		for _, plugin := range []string{"bridge", "host-local", "loopback"} {
			if _, err := os.Stat(dir + "/" + plugin); err != nil {
				found = false
			}
		}
		if found {
			return dir
		}
	}
	return ""
}
