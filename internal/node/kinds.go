package node

import (
	"cmp"
	"maps"
)

// Kinds of pods.
const (
	Wasm = "wasm"
	Runc = "runc"
)

// DefaultKinds are those of a node that chooses none.
var DefaultKinds = []string{Wasm, Runc}

// handlers are the runtime handlers that lead to each kind.
var handlers = map[string][]string{
	Wasm: {"blazar-wasm", "blazar-wazero", "blazar-wasmtime", "blazar-wasmedge"},
	Runc: {RuncHandler},
}

// RuncHandler is the runtime handler of Linux pods without a pause container.
const RuncHandler = "blazar-runc"

// serves says whether the node serves a kind.
func (n *Node) serves(kind string) bool {
	for _, k := range n.state.Config.Kinds {
		if k == kind {
			return !n.state.Config.LinuxOnly
		}
	}
	return false
}

// addKinds adds proxy plugins and runtime handlers to containerd's configuration.
func (n *Node) addKinds(config, runtimes table) {
	plugins := table{}
	sandboxers := maps.Clone(n.state.Config.Sandboxers)
	if sandboxers == nil {
		sandboxers = map[string]string{}
	}
	for kind, names := range handlers {
		if !n.serves(kind) {
			continue
		}
		sandboxers[kind] = n.kindSocket(kind)
		for _, handler := range names {
			t := table{
				"runtime_type":             "io.containerd.blazar.v1",
				"sandboxer":                kind,
				"disable_pause_image_pull": true,
				// containerd hands only these of a container on. Those of the pod come with
				// the pod, and would hide what it says for one container only if they
				// came again as the container's.
				"container_annotations": []string{"blazar/*", "run.oci.handler", "module.wasm.image/*"},
			}
			if kind == Runc {
				// runc's type gives the options their meaning: with any other CRI makes no
				// container in a user namespace.
				t["runtime_type"], t["runtime_path"] = "io.containerd.runc.v2", n.bin("containerd-shim-blazar-v1")
				t["options"] = table{"BinaryName": cmp.Or(n.state.Config.OCIRuntime, n.tool("runc"))}
			}
			runtimes[handler] = t
		}
	}
	for name, socket := range sandboxers {
		plugins[name] = table{"type": "sandbox", "address": socket}
	}
	for handler, t := range n.state.Config.Runtimes {
		runtimes[handler] = t
	}
	if len(plugins) > 0 {
		config["proxy_plugins"] = plugins
	}
}
