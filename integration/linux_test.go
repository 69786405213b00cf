package integration

import (
	"testing"

	"blazar/internal/node"
)

// containerd's own pods and wasm pods live on one node.
func TestLinuxPodBeside(t *testing.T) {
	t.Parallel()
	linux := startPodOf(t, node.Handler)
	wasm := startPod(t)
	c := node.Container("linux", node.HelloImage)
	c.Args = []string{"5"}
	k := linux.start(t, c)
	wasm.run(t, "exit", "6").exits(t, 6)
	k.exits(t, 5)
	contains(t, k.logs(t), "hello from linux")
}

// A pod that cannot start is refused as a whole, and nothing of it stays.
func TestRefusedPodLeavesNothing(t *testing.T) {
	config := podConfig(t)
	// A file, where a directory would have to be made.
	config.Linux.CgroupParent += "/cgroup.procs"
	id, err := theNode.RunPod(t.Context(), "blazar-wasm", config)
	if err == nil {
		(&pod{ID: id, Config: config}).remove(t)
		t.Fatal("the pod started")
	}
	contains(t, err.Error(), "cgroup")
	leavesNothing(t)
}
