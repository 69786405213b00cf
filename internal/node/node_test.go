package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blazar/internal/node"
	"blazar/internal/testneeds"
)

// linuxNode starts a node without blazar serve from the programs of `make tools`.
func linuxNode(t *testing.T) *node.Node {
	t.Helper()
	testneeds.Root(t)
	tools, err := filepath.Abs("../../.cache/bin")
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), node.Config{Tools: tools, LinuxOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLinuxPod(t *testing.T) {
	n := linuxNode(t)
	stopped := false
	defer func() {
		if !stopped {
			if err := n.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}()
	ctx := t.Context()

	pod := n.Pod("greeter")
	podID, err := n.RunPod(ctx, node.Handler, pod)
	if err != nil {
		t.Fatal(err, n.Log("containerd", 20))
	}
	c := node.Container("hello", node.HelloImage)
	c.Args = []string{"7"}
	id, err := n.CreateContainer(ctx, podID, c, pod)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.StartContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		i, err := n.InspectContainer(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if i.Status.State == "CONTAINER_EXITED" {
			if i.Status.ExitCode != 7 {
				t.Fatalf("exit code %d", i.Status.ExitCode)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the container does not end")
		}
	}
	logs, err := n.Crictl(ctx, "logs", id)
	if err != nil || !strings.Contains(logs, "hello from linux") {
		t.Fatalf("logs %q, %v", logs, err)
	}

	left, err := n.Traces()
	if err != nil || len(left) == 0 {
		t.Fatalf("a running pod leaves no trace: %v", err)
	}
	if err := n.RemovePods(ctx); err != nil {
		t.Fatal(err)
	}
	left, err = n.Leaks(ctx)
	if err != nil || len(left) != 0 {
		t.Fatalf("left of the pod: %q, %v", left, err)
	}
	stopped = true
	if err := n.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.Dir); !os.IsNotExist(err) {
		t.Fatalf("%s is still there", n.Dir)
	}
}

// A pod may run while its node is stopped, and two nodes beside each other.
func TestStopWithRunningPodsOfTwoNodes(t *testing.T) {
	first, second := linuxNode(t), linuxNode(t)
	ctx := t.Context()
	for _, n := range []*node.Node{first, second} {
		pod := n.Pod("stays")
		podID, err := n.RunPod(ctx, node.Handler, pod)
		if err != nil {
			t.Error(err)
			continue
		}
		c := node.Container("hello", node.HelloImage)
		c.Args = []string{"sleep"}
		id, err := n.CreateContainer(ctx, podID, c, pod)
		if err == nil {
			err = n.StartContainer(ctx, id)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := first.Stop(ctx); err != nil {
		t.Error(err)
	}
	if out, err := second.Crictl(ctx, "ps", "-q"); err != nil || len(strings.Fields(out)) != 1 {
		t.Errorf("the second node lost its container: %q, %v", out, err)
	}
	if err := second.Stop(ctx); err != nil {
		t.Error(err)
	}
}
