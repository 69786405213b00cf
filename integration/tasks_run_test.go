package integration

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/api/events"
	containerd "github.com/containerd/containerd/v2/client"
	coreevents "github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"
)

// burstSize is more than all buffers on the way hold.
const burstSize = 8 << 20

// tiled is the CRC-32 of so many bytes, 0 to 255 again and again.
func tiled(size int) uint32 {
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(i)
	}
	return crc32.Checksum(block, crc32.MakeTable(crc32.Castagnoli))
}

// intact checks that all the bytes of a burst have come.
func intact(t *testing.T, got []byte, size int) {
	t.Helper()
	if len(got) != size {
		t.Fatalf("%d bytes of %d", len(got), size)
	}
	if crc32.Checksum(got, crc32.MakeTable(crc32.Castagnoli)) != tiled(size) {
		t.Fatal("other bytes than were written")
	}
}

func TestTaskLifeCycle(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		task, out := makeTask(t, k, p, "forever", "hello")
		exit := waiting(t, task)
		if s, err := task.Status(t.Context()); err != nil || s.Status != containerd.Created {
			t.Fatalf("before its start the task is %v, %v", s, err)
		}
		if err := task.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, err := task.Status(t.Context()); err != nil || s.Status != containerd.Running {
			t.Fatalf("the task is %v, %v", s, err)
		}
		if task.Pid() == 0 {
			t.Error("the task has no pid")
		}
		eventually(t, "the task has said hello", func() bool { return strings.Contains(string(out.Bytes()), "hello") })
		if err := task.Kill(t.Context(), syscall.SIGKILL, containerd.WithKillAll); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, exit); code != 137 {
			t.Errorf("exit code %d after SIGKILL", code)
		}
		if s, err := task.Status(t.Context()); err != nil || s.Status != containerd.Stopped || s.ExitStatus != 137 {
			t.Errorf("the task is %v, %v", s, err)
		}
		s, err := task.Delete(t.Context())
		if err != nil || s.ExitCode() != 137 {
			t.Errorf("deleted with %v, %v", s, err)
		}
		out.all(t)
	})
}

func TestTaskExitCodes(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		for _, code := range []int{0, 1, 2, 42, 127, 255} {
			t.Run(strconv.Itoa(code), func(t *testing.T) {
				task, _ := makeTask(t, k, p, "exit", strconv.Itoa(code))
				if got := startAndWait(t, task); got != uint32(code) {
					t.Errorf("exit code %d", got)
				}
				if s, err := task.Delete(t.Context()); err != nil || s.ExitCode() != uint32(code) {
					t.Errorf("deleted with %v, %v", s, err)
				}
			})
		}
	})
}

// Every line that a task has written before it ends is there.
func TestTaskOutputThenExit(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		task, out := makeTask(t, k, p, "ticks")
		if code := startAndWait(t, task); code != 7 {
			t.Errorf("exit code %d", code)
		}
		var want strings.Builder
		for i := range 50 {
			fmt.Fprintf(&want, "tick %d\n", i+1)
		}
		// Not only after the task is deleted.
		eventually(t, "all 50 lines are there", func() bool { return string(out.Bytes()) == want.String() })
		if _, err := task.Delete(t.Context()); err != nil {
			t.Error(err)
		}
		if got := string(out.all(t)); got != want.String() {
			t.Errorf("%q", got)
		}
	})
}

// A task that writes more than all buffers hold and ends at once loses nothing of it,
// however slowly it is read, not even when it is deleted at its end.
func TestTaskFastExit(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		task, out := makeTask(t, k, p, "burst", strconv.Itoa(burstSize), "3")
		if code := startAndWait(t, task); code != 3 {
			t.Errorf("exit code %d", code)
		}
		if _, err := task.Delete(t.Context()); err != nil {
			t.Error(err)
		}
		intact(t, out.all(t), burstSize)
	})
}

// Events come in order, one of each, and say what is so.
func TestTaskEvents(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, errs := client(t).EventService().Subscribe(ctx, `topic~="/tasks/"`)
		task, _ := makeTask(t, k, p, "forever")
		exit := waiting(t, task)
		if err := task.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		exec, _ := execIn(t, task, false, "exit", "5")
		if code := startAndWait(t, exec); code != 5 {
			t.Errorf("exit code %d", code)
		}
		if _, err := exec.Delete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := task.Kill(t.Context(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		exitCode(t, exit)
		if _, err := task.Delete(t.Context()); err != nil {
			t.Error(err)
		}
		want := []string{"/tasks/create", "/tasks/start", "/tasks/exec-added", "/tasks/exec-started", "/tasks/exit", "/tasks/exit", "/tasks/delete"}
		var topics []string
		var exits []*events.TaskExit
		for deadline := time.After(patience); len(topics) < len(want); {
			select {
			case e := <-stream:
				if id, exit := taskOf(t, e); id == task.ID() {
					topics = append(topics, e.Topic)
					if exit != nil {
						exits = append(exits, exit)
					}
				}
			case err := <-errs:
				t.Fatal(err)
			case <-deadline:
				t.Fatalf("events %v, expected %v", topics, want)
			}
		}
		if fmt.Sprint(topics) != fmt.Sprint(want) {
			t.Fatalf("events %v, expected %v", topics, want)
		}
		if exits[0].ID != exec.ID() || exits[0].ExitStatus != 5 || exits[0].ExitedAt == nil {
			t.Errorf("exit of the exec: %v", exits[0])
		}
		if exits[1].ID != task.ID() || exits[1].ExitStatus != 137 || exits[1].ExitedAt == nil || exits[1].Pid == 0 {
			t.Errorf("exit of the task: %v", exits[1])
		}
	})
}

// taskOf is the container that an event is about, and the event if it is an exit.
func taskOf(t *testing.T, e *coreevents.Envelope) (string, *events.TaskExit) {
	t.Helper()
	if e.Namespace != "k8s.io" {
		t.Errorf("event %s in namespace %q", e.Topic, e.Namespace)
	}
	v, err := typeurl.UnmarshalAny(e.Event)
	if err != nil {
		t.Fatal(err)
	}
	exit, _ := v.(*events.TaskExit)
	if of, ok := v.(interface{ GetContainerID() string }); ok {
		return of.GetContainerID(), exit
	}
	return "", exit
}
