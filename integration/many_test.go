package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// Many pods come and go at once; each does its own work.
func TestManyPods(t *testing.T) {
	const pods = 30
	var all sync.WaitGroup
	errs := make(chan error, pods)
	for i := range pods {
		all.Go(func() { errs <- comeAndGo(t, taskKinds[i%len(taskKinds)], i) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	leavesNothing(t)
}

// comeAndGo is the life of one pod; it does not use what ends a test, because it runs
// beside the test's goroutine.
func comeAndGo(t *testing.T, k taskKind, i int) error {
	ctx := t.Context()
	config := theNode.Pod(fmt.Sprintf("many-%d", i))
	isolateIn(t, config)
	podID, err := theNode.RunPod(ctx, k.handler, config)
	if err != nil {
		return err
	}
	for name, args := range map[string][]string{"exit": {"exit", fmt.Sprint(i)}, "says": {"echo", fmt.Sprint("pod-", i)}} {
		c := node.Container(name, k.image)
		c.Args, c.LogPath = args, name+".log"
		s, err := runToEnd(ctx, podID, c, config)
		if err != nil {
			return err
		}
		switch name {
		case "exit":
			if s.ExitCode != int32(i) {
				return fmt.Errorf("pod %d ended with %d: %s", i, s.ExitCode, s.Message)
			}
		case "says": // and ends at once: what it said is there all the same, and has been since its exit
			b, err := os.ReadFile(filepath.Join(config.LogDirectory, c.LogPath))
			if err != nil {
				return err
			}
			if !strings.Contains(string(b), args[1]) {
				return fmt.Errorf("pod %d ended with %d and said %q", i, s.ExitCode, b)
			}
		}
	}
	_, err = theNode.Crictl(ctx, "rmp", "-f", podID)
	return err
}

// runToEnd runs a container and returns how it ended.
func runToEnd(ctx context.Context, podID string, c *runtime.ContainerConfig, pod *runtime.PodSandboxConfig) (*node.ContainerStatus, error) {
	id, err := theNode.CreateContainer(ctx, podID, c, pod)
	if err != nil {
		return nil, err
	}
	if err := theNode.StartContainer(ctx, id); err != nil {
		return nil, err
	}
	for {
		i, err := theNode.InspectContainer(ctx, id)
		if err != nil {
			return nil, err
		}
		if i.Status.State == "CONTAINER_EXITED" {
			return &i.Status, nil
		}
	}
}
