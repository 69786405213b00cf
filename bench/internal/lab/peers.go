package lab

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// peer is another way to run wasm pods on containerd, used where it is installed.
type peer struct {
	name, what string
	// find returns the handler's table in the configuration of CRI and the socket of its
	// sandboxer, if it has one; nil where it is not installed. dir is for its files.
	find func(ctx context.Context, dir string) (runtime map[string]any, socket string)
	// annotations of its pods.
	annotations map[string]string
}

// programDirs are where a node's containerd looks for programs beside its own.
var programDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// kuasarSocket is where Kuasar's wasm-sandboxer listens, as its documentation has it.
const kuasarSocket = "/run/wasm-sandboxer.sock"

var peers = []peer{
	{
		name: "crun-wasm", what: "crun with a wasm handler, containerd's runc shim, a pause container", find: findCrun,
		// The kind of crun's that leaves the pause container alone.
		annotations: map[string]string{"module.wasm.image/variant": "compat-smart"},
	},
	{name: "runwasi-wasmtime", what: "runwasi's shim with Wasmtime", find: shim("wasmtime")},
	{name: "runwasi-wasmedge", what: "runwasi's shim with WasmEdge", find: shim("wasmedge")},
	{name: "runwasi-wasmer", what: "runwasi's shim with Wasmer", find: shim("wasmer")},
	{name: "kuasar-wasm", what: "Kuasar's wasm-sandboxer", find: findKuasar},
}

// contestant is the peer as a contestant: same clients, same guest.
func (p peer) contestant() Contestant {
	return Contestant{
		Name: p.name, What: p.what, Handler: p.name, Image: helloC, Archive: helloCArchive,
		Annotations: p.annotations, Peer: true, From: Quick,
	}
}

// program is the path of an installed program, empty if there is none.
func program(name string) string {
	for _, dir := range programDirs {
		path := filepath.Join(dir, name)
		if unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return ""
}

// shim finds one of runwasi's shims, which containerd finds by its name.
func shim(engine string) func(context.Context, string) (map[string]any, string) {
	return func(context.Context, string) (map[string]any, string) {
		if program("containerd-shim-"+engine+"-v1") == "" {
			return nil, ""
		}
		return map[string]any{"runtime_type": "io.containerd." + engine + ".v1"}, ""
	}
}

// findCrun finds a crun that was built with a wasm engine, which its version says:
// "+WASM:wasmtime".
func findCrun(ctx context.Context, dir string) (map[string]any, string) {
	path := program("crun")
	if path == "" {
		return nil, ""
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil || !strings.Contains(string(out), "+WASM") {
		return nil, ""
	}
	patterns := []string{"module.wasm.image/*", "run.oci.handler"}
	return map[string]any{
		"runtime_type": "io.containerd.runc.v2", "pod_annotations": patterns, "container_annotations": patterns,
		"options": map[string]any{"BinaryName": path, "Root": filepath.Join(dir, "crun")},
	}, ""
}

// findKuasar finds a wasm-sandboxer that listens and the shim that containerd insists on.
func findKuasar(context.Context, string) (map[string]any, string) {
	conn, err := net.DialTimeout("unix", kuasarSocket, time.Second)
	if err != nil {
		return nil, ""
	}
	_ = conn.Close() // it was only a question
	if program("containerd-shim-kuasar-wasm-v1") == "" {
		return nil, ""
	}
	return map[string]any{"runtime_type": "io.containerd.kuasar-wasm.v1", "sandboxer": "kuasar-wasm"}, kuasarSocket
}
