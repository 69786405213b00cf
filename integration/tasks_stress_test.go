package integration

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/typeurl/v2"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// Many tasks and execs, several at a time: each says all it has to say and ends as it
// wants to, and what serves them keeps no descriptor of any.
func TestTaskStress(t *testing.T) {
	const atOnce, rounds, size = 4, 12, 1 << 20
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		task := startTask(t, k, p, "forever")
		run := func(worker, rounds int) {
			for i := range rounds {
				code := 1 + (worker*rounds+i)%200
				burst, out := makeTask(t, k, p, "burst", strconv.Itoa(size), strconv.Itoa(code))
				if got := startAndWait(t, burst); got != uint32(code) {
					t.Errorf("exit code %d of a task, expected %d", got, code)
				}
				if _, err := burst.Delete(t.Context()); err != nil {
					t.Error(err)
				}
				intact(t, out.all(t), size)
				exec, io := execIn(t, task, false, "burst", strconv.Itoa(size), strconv.Itoa(code))
				if got := startAndWait(t, exec); got != uint32(code) {
					t.Errorf("exit code %d of an exec, expected %d", got, code)
				}
				remove(t, exec)
				intact(t, io.out.all(t), size)
			}
		}
		run(0, 2)
		pid := serverOf(t, k, p)
		before, err := node.Descriptors(pid)
		if pid != 0 && err != nil {
			t.Fatal(err)
		}
		// What ends a test must be called by its own goroutine.
		t.Run("group", func(t *testing.T) {
			for worker := range atOnce {
				t.Run(strconv.Itoa(worker), func(t *testing.T) {
					t.Parallel()
					run(worker, rounds)
				})
			}
		})
		if pid == 0 {
			return
		}
		eventually(t, "nothing is kept open", func() bool {
			now, err := node.Descriptors(pid)
			return err == nil && now < before+rounds
		})
	})
}

// serverOf is the process that serves the tasks of a pod, 0 for containerd's own.
func serverOf(t *testing.T, k taskKind, p *pod) int {
	t.Helper()
	switch k.kind {
	case node.Wasm:
		return podPid(t, p)
	case node.Runc:
		return theNode.TaskdPid()
	}
	return 0
}

// A container that is over its memory limit is said to be, with the event that CRI and
// others listen for, and by CRI.
func TestTaskOOM(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		if k.kind == "" {
			return // containerd's own shim may miss it when the container ends at once
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, errs := client(t).EventService().Subscribe(ctx, `topic=="/tasks/oom"`)
		c := node.Container("take", k.image)
		c.Args = []string{"take"}
		c.Linux.Resources = &runtime.LinuxContainerResources{MemoryLimitInBytes: 64 << 20, MemorySwapLimitInBytes: 64 << 20}
		made := p.start(t, c)
		for deadline, found := time.After(patience), false; !found; {
			select {
			case e := <-stream:
				v, err := typeurl.UnmarshalAny(e.Event)
				if err != nil {
					t.Fatal(err)
				}
				oom, ok := v.(*events.TaskOOM)
				found = ok && oom.ContainerID == made.ID
			case err := <-errs:
				t.Fatal(err)
			case <-deadline:
				t.Fatal("no event")
			}
		}
		if s := made.exits(t, 137); s.Reason != "OOMKilled" {
			t.Errorf("reason %q", s.Reason)
		}
	})
}
