package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"blazar/internal/node"
)

// crashAfter are moments in the start of pods, which takes some tens of milliseconds,
// and in their removal.
var crashAfter = []time.Duration{
	5 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
	80 * time.Millisecond, 160 * time.Millisecond, 320 * time.Millisecond,
}

// crash starts pods, as many at once as there are processors to be busy with, and
// lets something happen in the middle of it. What becomes of the pods is open; that
// everything works again, and that nothing of them stays that ours says is our
// concern, is not.
func crash(t *testing.T, k taskKind, after time.Duration, ours func(trace string) bool, happens func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var pods sync.WaitGroup
	for i := range 4 {
		pods.Go(func() {
			// Any of it may fail now.
			_ = comeAndGo(t, k, i)
			_ = comeAndGo(t, k, i)
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
	left, err := theNode.Leaks(ctx, known...)
	if err != nil {
		t.Fatal(err)
	}
	known = append(known, left...)
	for _, l := range left {
		if ours(l) {
			t.Error("left:", l)
		}
	}
	// containerd itself may stumble once over a snapshot it had not recorded.
	for attempt := 1; ; attempt++ {
		err := comeAndGo(t, k, 7)
		if err == nil {
			return
		}
		if attempt == 3 {
			t.Fatalf("no pod afterwards: %v", err)
		}
		t.Logf("a pod afterwards: %v", err)
		if err := theNode.RemovePods(ctx); err != nil {
			t.Error(err)
		}
	}
}

// crashes tries every moment on pods of the kinds.
func crashes(t *testing.T, kinds []string, ours func(trace string) bool, happens func(ctx context.Context) error) {
	for _, k := range taskKinds {
		if k == mixed || !slices.Contains(kinds, k.kind) {
			continue
		}
		for _, after := range crashAfter {
			t.Run(fmt.Sprintf("%s/%s", k.name, after), func(t *testing.T) { crash(t, k, after, ours, happens) })
		}
	}
}

func TestServeKilledInAnyPhase(t *testing.T) {
	crashes(t, node.DefaultKinds, all, theNode.RestartServe)
}

func TestTaskdKilledInAnyPhase(t *testing.T) {
	crashes(t, []string{node.Runc}, all, theNode.RestartTaskd)
}

func TestContainerdKilledInAnyPhase(t *testing.T) {
	crashes(t, node.DefaultKinds, notContainerds, func(ctx context.Context) error {
		return theNode.RestartContainerd(ctx, syscall.SIGKILL)
	})
}

func all(string) bool { return true }

// notContainerds leaves out what containerd itself loses when it is killed between
// making it and recording it: a network namespace, and what CNI has put into it.
func notContainerds(trace string) bool {
	for _, kind := range []string{"interface ", "CNI result "} {
		if strings.HasPrefix(trace, kind) {
			return false
		}
	}
	return !strings.Contains(trace, "/io.containerd.grpc.v1.cri/") && !strings.Contains(trace, "/cni-data/")
}
