package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task/taskapi"
)

// expectTopics waits for exactly these events.
func (s *server) expectTopics(want ...string) {
	s.Helper()
	s.eventually(fmt.Sprint("events ", want), func() bool { return len(s.published()) >= len(want) })
	if got := s.published(); !slices.Equal(got, want) {
		s.Errorf("events %v, want %v", got, want)
	}
}

func (s *server) exec(id, exec string) {
	s.Helper()
	spec, err := json.Marshal(specs.Process{Args: []string{"x"}})
	s.must(err)
	s.must(s.client.Exec(s.call(), &taskapi.ExecProcessRequest{Id: id, ExecId: exec, Spec: &anypb.Any{TypeUrl: "types.containerd.io/x/Process", Value: spec}}))
}

// The events of a container come in the order in which things happened, in
// containerd's own types; the container's exit after those of its execs.
func TestEventsInOrder(t *testing.T) {
	s := serve(t, Options{})
	s.faulty.behave["c"] = func(p *faultyProcess) { p.oom = make(chan struct{}, 1) }
	s.start("c")
	for _, e := range []string{"e", "f"} {
		s.exec("c", e)
		_, err := s.client.Start(s.call(), &taskapi.StartRequest{Id: "c", ExecId: e})
		s.must(err)
	}
	s.must(s.client.Kill(s.call(), &taskapi.KillRequest{Id: "c", ExecId: "e", Signal: uint32(syscall.SIGTERM)}))
	_, err := s.client.Wait(s.call(), &taskapi.WaitRequest{Id: "c", ExecId: "e"})
	s.must(err)
	s.get("c").oom <- struct{}{}
	s.must(s.kill(s.call(), "c"))
	s.exits("c", 137)
	s.must(s.delete(s.call(), "c"))
	s.eventually("TaskDelete", func() bool { return slices.Contains(s.published(), "/tasks/delete") })
	// The OOM comes from beside, but before the exit.
	got := s.published()
	if oom := slices.Index(got, "/tasks/oom"); oom < 0 || oom > len(got)-3 {
		t.Errorf("TaskOOM is missing or late: %v", got)
	}
	want := []string{
		"/tasks/create", "/tasks/start", "/tasks/exec-added", "/tasks/exec-started", "/tasks/exec-added",
		"/tasks/exec-started", "/tasks/exit", "/tasks/exit", "/tasks/exit", "/tasks/delete",
	}
	if order := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s == "/tasks/oom" }); !slices.Equal(order, want) {
		t.Errorf("events %v, want %v", order, want)
	}
	var exits []string
	for _, e := range s.recorder.events {
		v, err := typeurl.UnmarshalAny(e)
		s.must(err)
		if exit, ok := v.(*events.TaskExit); ok {
			exits = append(exits, fmt.Sprint(exit.ContainerID, " ", exit.ID, " ", exit.ExitStatus, " ", exit.Pid))
		}
	}
	if want := []string{"c e 143 4242", "c f 137 4242", "c c 137 4242"}; !slices.Equal(exits, want) {
		t.Errorf("exits %q, want %q", exits, want)
	}
}

// TaskStart comes before TaskExit also for a process that has ended before Start
// came back.
func TestStartBeforeExit(t *testing.T) {
	s := serve(t, Options{})
	var want []string
	for i := range 50 {
		id := fmt.Sprint("quick", i)
		s.faulty.behave[id] = func(p *faultyProcess) {
			p.onStart = func(context.Context) error { p.exit(0); return nil }
		}
		s.start(id)
		s.exits(id, 0)
		want = append(want, "/tasks/create", "/tasks/start", "/tasks/exit")
	}
	s.expectTopics(want...)
}

// A publisher that hangs or fails holds up no request, and what it did not take is
// offered again, in order.
func TestPublisherFails(t *testing.T) {
	r := &recorder{}
	var failing atomic.Bool
	failing.Store(true)
	r.fail = func() error {
		if failing.Load() {
			return errors.New("containerd is away")
		}
		return nil
	}
	s := serve(t, Options{Publisher: r})
	s.recorder = r
	s.healthy()
	if got := s.published(); len(got) != 0 {
		t.Fatalf("published %v", got)
	}
	failing.Store(false)
	s.expectTopics("/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete")
}

type stuckPublisher struct{ entered chan struct{} }

func (p stuckPublisher) Publish(ctx context.Context, _ string, _ *anypb.Any) error {
	select {
	case p.entered <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

// The queue is bounded in length and in time.
func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := stuckPublisher{entered: make(chan struct{}, 100)}
		q := newQueue(Options{Publisher: p, EventQueue: 3}.withDefaults())
		for range 10 {
			q.push("c", topicOOM, &taskapi.TaskOOM{ContainerId: "c"})
		}
		synctest.Wait()
		q.mu.Lock()
		waiting := len(q.waiting)
		q.mu.Unlock()
		if waiting < 2 || waiting > 3 { // one may be out of the queue already
			t.Errorf("%d wait", waiting)
		}
		time.Sleep(4 * time.Minute) // each is given up after its minute
		synctest.Wait()
		q.mu.Lock()
		waiting = len(q.waiting)
		q.mu.Unlock()
		if waiting != 0 {
			t.Errorf("%d wait for ever", waiting)
		}
		q.push("c", topicOOM, &taskapi.TaskOOM{ContainerId: "c"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A stuck exec delays the exit of its container by a bounded time.
func TestStuckExecAtExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		f.behave["c/stuck"] = func(p *faultyProcess) {
			p.onKill = func(ctx context.Context, _ syscall.Signal) error { <-ctx.Done(); return ctx.Err() }
		}
		s := NewServer(f, Options{})
		ctx := t.Context()
		c, err := s.create(ctx, &CreateRequest{ID: "c"})
		must(t, err)
		_, err = c.init.start(ctx)
		must(t, err)
		must(t, c.exec(ctx, &ExecRequest{ID: "stuck"}))
		e, err := c.process("stuck")
		must(t, err)
		_, err = e.start(ctx)
		must(t, err)
		began := time.Now()
		f.get("c").exit(3)
		exit, err := c.init.wait(ctx)
		must(t, err)
		if took := time.Since(began); exit.Status != 3 || took < execGrace || took > 2*execGrace {
			t.Errorf("exit %v after %v", exit, took)
		}
		if _, _, err := c.init.delete(ctx); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("Delete with a process that runs: %v", err)
		}
		f.get("c/stuck").exit(0)
		_, err = e.wait(ctx)
		must(t, err)
		_, _, err = c.init.delete(ctx)
		must(t, err)
		must(t, s.Close(ctx))
	})
}

// OnIdle is called after the last container was deleted, and may call back.
func TestOnIdle(t *testing.T) {
	var s *server
	idle := make(chan error, 1)
	s = serve(t, Options{OnIdle: func() {
		_, err := s.task.container("a")
		idle <- err
	}})
	s.create("a")
	s.create("b")
	s.must(s.delete(s.call(), "a"))
	select {
	case err := <-idle:
		t.Errorf("idle with a container: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	s.must(s.delete(s.call(), "b"))
	s.is("container", <-idle, errdefs.IsNotFound)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
