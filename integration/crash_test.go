package integration

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crashAfter are moments in the start of pods, which takes some tens of milliseconds,
// and in their removal.
var crashAfter = []time.Duration{
	5 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
	80 * time.Millisecond, 160 * time.Millisecond, 320 * time.Millisecond,
}

// crash starts pods, as many at once as there are processors to be busy with, and
// lets something happen in the middle of it. What becomes of the pods is open; that
// everything works again, and that nothing of them stays, is not.
func crash(t *testing.T, after time.Duration, happens func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var pods sync.WaitGroup
	for i := range 4 {
		pods.Go(func() {
			// Any of it may fail now.
			_ = comeAndGo(t, i)
			_ = comeAndGo(t, i)
		})
	}
	time.Sleep(after)
	err := happens(ctx)
	pods.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := theNode.RemovePods(ctx); err != nil {
		t.Error(err)
	}
	leavesNothing(t)
	if err := comeAndGo(t, 7); err != nil {
		t.Errorf("a pod afterwards: %v", err)
	}
}

func TestServeKilledInAnyPhase(t *testing.T) {
	for _, after := range crashAfter {
		t.Run(fmt.Sprint(after), func(t *testing.T) { crash(t, after, theNode.RestartServe) })
	}
}

func TestContainerdKilledInAnyPhase(t *testing.T) {
	for _, after := range crashAfter {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			crash(t, after, func(ctx context.Context) error {
				return theNode.RestartContainerd(ctx, syscall.SIGKILL)
			})
		})
	}
}
