package integration

import (
	"fmt"
	"sync"
	"testing"

	"blazar/internal/node"
)

// Many pods come and go at once; each does its own work.
func TestManyPods(t *testing.T) {
	const pods = 30
	var all sync.WaitGroup
	errs := make(chan error, pods)
	for i := range pods {
		all.Go(func() { errs <- comeAndGo(t, i) })
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
func comeAndGo(t *testing.T, i int) error {
	ctx := t.Context()
	config := theNode.Pod(fmt.Sprintf("many-%d", i))
	isolateIn(t, config)
	podID, err := theNode.RunPod(ctx, "blazar-wasm", config)
	if err != nil {
		return err
	}
	c := node.Container("main", busyImage)
	c.Args = []string{"exit", fmt.Sprint(i)}
	id, err := theNode.CreateContainer(ctx, podID, c, config)
	if err != nil {
		return err
	}
	if err := theNode.StartContainer(ctx, id); err != nil {
		return err
	}
	for ctx.Err() == nil {
		s, err := theNode.InspectContainer(ctx, id)
		if err != nil {
			return err
		}
		if s.Status.State == "CONTAINER_EXITED" {
			if s.Status.ExitCode != int32(i) {
				return fmt.Errorf("pod %d ended with %d: %s", i, s.Status.ExitCode, s.Status.Message)
			}
			break
		}
	}
	_, err = theNode.Crictl(ctx, "rmp", "-f", podID)
	return err
}
