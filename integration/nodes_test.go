package integration

import (
	"context"
	"os"
	"testing"

	"blazar/internal/node"
)

// Two instances run side by side on one machine, and one goes without the other
// noticing, whatever runs on it.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	k := p.run(t, "sleep")
	k.says(t, "sleeping")

	second, err := startNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(second.Dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there", second.Dir)
		}
		if s := k.inspect(t); s.State != "CONTAINER_RUNNING" {
			t.Errorf("the container of the first node is %s", s.State)
		}
	}()
	if err := loadImages(t.Context(), second, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	config := second.Pod("second")
	id, err := second.RunPod(t.Context(), "blazar-wasm", config)
	if err != nil {
		t.Fatal(err)
	}
	c := node.Container("main", busyImage)
	c.Args = []string{"sleep"}
	containerID, err := second.CreateContainer(t.Context(), id, c, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.StartContainer(t.Context(), containerID); err != nil {
		t.Fatal(err)
	}
}
