package task

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"

	"blazar/sandbox/task/taskapi"
)

func isTimeout(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// A Create that hangs holds up its own container, whatever becomes of its caller,
// and what it makes in the end is deleted.
func TestCreateHangs(t *testing.T) {
	s := serve(t, Options{})
	release, entered := make(chan struct{}), make(chan context.Context, 1)
	s.faulty.create["stuck"] = func(ctx context.Context) error {
		entered <- ctx
		<-release // whatever ctx says
		return nil
	}
	_, err := s.client.Create(s.soon(), &taskapi.CreateTaskRequest{Id: "stuck"})
	s.is("Create that hangs", err, isTimeout)
	// The server's clock for it started later.
	<-(<-entered).Done()
	s.healthy()
	_, err = s.client.Create(s.call(), &taskapi.CreateTaskRequest{Id: "stuck"})
	s.is("Create of the same id", err, errdefs.IsAlreadyExists)
	s.is("Delete of what is not made yet", s.delete(s.call(), "stuck"), errdefs.IsNotFound)
	close(release)
	s.eventually("what was made is deleted", func() bool {
		p := s.get("stuck")
		return p != nil && isClosed(p.deleted)
	})
	delete(s.faulty.create, "stuck")
	s.eventually("the id is free", func() bool {
		_, err := s.client.Create(s.call(), &taskapi.CreateTaskRequest{Id: "stuck"})
		return err == nil
	})
	s.must(s.delete(s.call(), "stuck"))
	// Of the first one nothing was told.
	s.expectTopics("/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete", "/tasks/create", "/tasks/delete")
}

// A caller that goes away ends its Create.
func TestCreateCallerGoes(t *testing.T) {
	s := serve(t, Options{})
	entered, cause := make(chan struct{}), make(chan error, 1)
	s.faulty.create["left"] = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		cause <- ctx.Err()
		return ctx.Err()
	}
	conn := s.dial()
	answered := make(chan error, 1)
	go func() {
		_, err := taskapi.NewClient(conn).Create(context.Background(), &taskapi.CreateTaskRequest{Id: "left"})
		answered <- err
	}()
	<-entered
	s.must(conn.Close())
	if err := <-answered; err == nil {
		t.Error("Create on a closed connection succeeded")
	}
	s.is("context of the abandoned Create", <-cause, func(err error) bool { return errors.Is(err, context.Canceled) })
	delete(s.faulty.create, "left")
	s.eventually("the id is free", func() bool {
		_, err := s.client.Create(s.call(), &taskapi.CreateTaskRequest{Id: "left"})
		return err == nil
	})
	s.must(s.delete(s.call(), "left"))
}

// A container that is killed before its start is let go of at once: containerd deletes
// it only when its output has come to an end.
func TestKillBeforeStart(t *testing.T) {
	s := serve(t, Options{})
	s.create("early")
	p := s.get("early")
	s.must(s.kill(s.call(), "early"))
	if !isClosed(p.ended) {
		t.Error("the runtime was not told, and keeps the stdio")
	}
	if st := s.state("early"); st != taskapi.Status_STOPPED {
		t.Errorf("state %v", st)
	}
	_, err := s.client.Start(s.call(), &taskapi.StartRequest{Id: "early"})
	s.is("Start of what was killed", err, errdefs.IsFailedPrecondition)
	s.must(s.delete(s.call(), "early"))
	if !isClosed(p.deleted) {
		t.Error("the runtime did not delete it")
	}
}

// The same after a start that failed.
func TestStartFailsLetsGo(t *testing.T) {
	s := serve(t, Options{})
	s.faulty.behave["failing"] = func(p *faultyProcess) {
		p.onStart = func(context.Context) error { return errdefs.ErrUnavailable }
	}
	s.create("failing")
	_, err := s.client.Start(s.call(), &taskapi.StartRequest{Id: "failing"})
	s.is("Start that fails", err, errdefs.IsUnavailable)
	if !isClosed(s.get("failing").ended) {
		t.Error("the runtime was not told, and keeps the stdio")
	}
	s.must(s.delete(s.call(), "failing"))
}

// A Start that hangs can be looked at and ended.
func TestStartHangs(t *testing.T) {
	s := serve(t, Options{})
	entered := make(chan struct{})
	s.faulty.behave["stuck"] = func(p *faultyProcess) {
		p.onStart = func(ctx context.Context) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}
	}
	s.create("stuck")
	started := make(chan error, 1)
	ctx := s.call()
	go func() {
		_, err := s.client.Start(ctx, &taskapi.StartRequest{Id: "stuck"})
		started <- err
	}()
	<-entered
	s.healthy()
	if st := s.state("stuck"); st != taskapi.Status_CREATED {
		t.Errorf("state %v", st)
	}
	_, err := s.client.Start(s.soon(), &taskapi.StartRequest{Id: "stuck"})
	s.is("second Start", err, isTimeout)
	s.is("Delete", s.delete(s.soon(), "stuck"), isTimeout)
	err = s.client.Kill(s.soon(), &taskapi.KillRequest{Id: "stuck", Signal: uint32(syscall.SIGTERM)})
	s.is("Kill with a signal that waits for the process", err, isTimeout)
	s.must(s.kill(s.call(), "stuck"))
	s.is("Start that was killed", <-started, func(err error) bool { return errors.Is(err, context.Canceled) })
	s.exits("stuck", 137)
	s.must(s.delete(s.call(), "stuck"))
}

// A process that starts although it was killed meanwhile is killed again.
func TestStartOutlivesKill(t *testing.T) {
	s := serve(t, Options{})
	entered, release := make(chan struct{}), make(chan struct{})
	s.faulty.behave["late"] = func(p *faultyProcess) {
		p.onStart = func(context.Context) error {
			close(entered)
			<-release
			return nil
		}
	}
	s.create("late")
	started := make(chan error, 1)
	ctx := s.call()
	go func() {
		_, err := s.client.Start(ctx, &taskapi.StartRequest{Id: "late"})
		started <- err
	}()
	<-entered
	s.must(s.kill(s.call(), "late"))
	close(release)
	s.must(<-started)
	s.exits("late", 137)
	s.must(s.delete(s.call(), "late"))
}

// A failed Start leaves a container that can be deleted, and no events of a life.
func TestStartFails(t *testing.T) {
	s := serve(t, Options{})
	s.faulty.behave["bad"] = func(p *faultyProcess) {
		p.onStart = func(context.Context) error { return errdefs.ErrPermissionDenied }
	}
	s.create("bad")
	_, err := s.client.Start(s.call(), &taskapi.StartRequest{Id: "bad"})
	s.is("Start", err, errdefs.IsPermissionDenied)
	s.exits("bad", statusStart)
	s.is("Kill", s.kill(s.call(), "bad"), errdefs.IsNotFound)
	s.must(s.delete(s.call(), "bad"))
	s.expectTopics("/tasks/create", "/tasks/delete")
}

func TestKillIgnoredOrStuck(t *testing.T) {
	s := serve(t, Options{})
	s.faulty.behave["ignores"] = func(p *faultyProcess) {
		p.onKill = func(context.Context, syscall.Signal) error { return nil }
	}
	release := make(chan struct{})
	s.faulty.behave["sticks"] = func(p *faultyProcess) {
		p.onKill = func(context.Context, syscall.Signal) error { <-release; return nil }
	}
	for _, id := range []string{"ignores", "sticks"} {
		s.start(id)
	}
	s.must(s.kill(s.call(), "ignores"))
	s.is("Kill that hangs", s.kill(s.soon(), "sticks"), isTimeout)
	s.healthy()
	for _, id := range []string{"ignores", "sticks"} {
		_, err := s.client.Wait(s.soon(), &taskapi.WaitRequest{Id: id})
		s.is("Wait", err, isTimeout)
		if st := s.state(id); st != taskapi.Status_RUNNING {
			t.Errorf("%s is %v", id, st)
		}
		s.is("Delete", s.delete(s.call(), id), errdefs.IsFailedPrecondition)
		s.get(id).exit(9) // at last, by itself
		s.exits(id, 9)
	}
	close(release)
	for _, id := range []string{"ignores", "sticks"} {
		s.must(s.delete(s.call(), id))
	}
}

// A Delete that fails, or whose caller goes away, can be done again.
func TestDeleteFails(t *testing.T) {
	s := serve(t, Options{})
	var tries atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	s.faulty.behave["sticky"] = func(p *faultyProcess) {
		p.onDel = func(ctx context.Context) error {
			switch tries.Add(1) {
			case 1:
				return errdefs.ErrUnavailable
			case 2:
				close(entered)
				<-release
				return ctx.Err() // which must not be the caller's
			}
			return nil
		}
	}
	s.start("sticky")
	s.must(s.kill(s.call(), "sticky"))
	s.exits("sticky", 137)
	s.is("first Delete", s.delete(s.call(), "sticky"), errdefs.IsUnavailable)
	s.exits("sticky", 137)
	s.is("second Delete", s.delete(s.soon(), "sticky"), isTimeout)
	<-entered
	s.healthy()
	close(release)
	s.eventually("the second Delete went on", func() bool { return isClosed(s.get("sticky").deleted) })
	s.eventually("the container is gone", func() bool { return errdefs.IsNotFound(s.delete(s.call(), "sticky")) })
}

// Whatever panics fails its own request.
func TestPanics(t *testing.T) {
	s := serve(t, Options{})
	s.faulty.create["create"] = func(context.Context) error { panic("create") }
	s.faulty.behave["start"] = func(p *faultyProcess) { p.onStart = func(context.Context) error { panic("start") } }
	s.faulty.behave["wait"] = func(p *faultyProcess) {
		p.onWait = func(context.Context) (Exit, error) { panic("wait") }
		p.onStats = func() (proto.Message, error) { panic("stats") }
	}
	_, err := s.client.Create(s.call(), &taskapi.CreateTaskRequest{Id: "create"})
	s.is("Create", err, errdefs.IsInternal)
	s.create("start")
	_, err = s.client.Start(s.call(), &taskapi.StartRequest{Id: "start"})
	s.is("Start", err, errdefs.IsInternal)
	s.must(s.delete(s.call(), "start"))
	s.create("wait")
	_, err = s.client.Stats(s.call(), &taskapi.StatsRequest{Id: "wait"})
	s.is("Stats", err, errdefs.IsInternal)
	_, err = s.client.Start(s.call(), &taskapi.StartRequest{Id: "wait"})
	s.must(err)
	s.exits("wait", statusUnknown)
	s.must(s.delete(s.call(), "wait"))
	s.healthy()
}

// Pids is never empty and never NotFound for a container that exists.
func TestPids(t *testing.T) {
	s := serve(t, Options{Pid: 77})
	pids := func(want ...uint32) {
		t.Helper()
		r, err := s.client.Pids(s.call(), &taskapi.PidsRequest{Id: "c"})
		s.must(err)
		var got []uint32
		for _, i := range r.GetProcesses() {
			got = append(got, i.GetPid())
		}
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("pids %v, want %v", got, want)
		}
	}
	s.create("c")
	pids(77)
	_, err := s.client.Start(s.call(), &taskapi.StartRequest{Id: "c"})
	s.must(err)
	pids(4242)
	s.get("c").pidsOf = func() ([]uint32, error) { return []uint32{5, 6, 5}, nil }
	pids(5, 6)
	s.get("c").pidsOf = func() ([]uint32, error) { return nil, nil }
	pids(4242)
	s.get("c").pidsOf = func() ([]uint32, error) { return nil, errdefs.ErrUnavailable }
	_, err = s.client.Pids(s.call(), &taskapi.PidsRequest{Id: "c"})
	s.is("Pids of a runtime that cannot say", err, errdefs.IsUnavailable)
	s.must(s.kill(s.call(), "c"))
	s.exits("c", 137)
	pids(77)
	s.must(s.delete(s.call(), "c"))
}

// Close gives blocked callers an answer upon which they ask again.
func TestCloseEndsWaits(t *testing.T) {
	s := serve(t, Options{})
	s.start("c")
	waited := make(chan error, 1)
	ctx := s.call()
	go func() {
		_, err := s.client.Wait(ctx, &taskapi.WaitRequest{Id: "c"})
		waited <- err
	}()
	time.Sleep(10 * time.Millisecond) // so that it is blocked, most of the time
	s.must(s.task.Close(s.call()))
	s.is("Wait", <-waited, errdefs.IsUnavailable)
	_, err := s.client.Create(s.call(), &taskapi.CreateTaskRequest{Id: "d"})
	s.is("Create after Close", err, errdefs.IsUnavailable)
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
