package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// line is what every container says.
const line = "hello\n"

// tasks are the containers of all pods.
type tasks struct {
	pid uint32

	mu    sync.Mutex // guards tasks
	tasks map[string]*task
}

// task is one container.
type task struct {
	bundle         string
	stdout, stderr string
	exited         *timestamppb.Timestamp // set before gone is closed
	gone           chan struct{}          // closed when it has ended
	once           sync.Once              // of Start or Kill
}

var _ taskapi.TTRPCTaskService = (*tasks)(nil)

func newTasks() *tasks { return &tasks{pid: uint32(os.Getpid()), tasks: map[string]*task{}} }

func (s *tasks) task(id string) (*task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[id]; t != nil {
		return t, nil
	}
	return nil, errgrpc.ToGRPCf(errdefs.ErrNotFound, "no container %s", id)
}

func (s *tasks) Create(_ context.Context, r *taskapi.CreateTaskRequest) (*taskapi.CreateTaskResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[r.GetID()] = &task{bundle: r.GetBundle(), stdout: r.GetStdout(), stderr: r.GetStderr(), gone: make(chan struct{})}
	return &taskapi.CreateTaskResponse{Pid: s.pid}, nil
}

// Start begins the container's life, which has ended when containerd has read its line:
// an exit that overtakes the output can make containerd lose that.
func (s *tasks) Start(_ context.Context, r *taskapi.StartRequest) (*taskapi.StartResponse, error) {
	t, err := s.task(r.GetID())
	if err != nil {
		return nil, err
	}
	t.once.Do(func() {
		go func() {
			defer t.end()
			err := write(t.stdout, line)
			if err == nil {
				err = write(t.stderr, "")
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "floor: %s: %v\n", r.GetID(), err)
			}
		}()
	})
	return &taskapi.StartResponse{Pid: s.pid}, nil
}

func (t *task) end() {
	t.exited = timestamppb.Now()
	close(t.gone)
}

const (
	// readPause is between looks whether a line was read.
	readPause = 100 * time.Microsecond
	// readTime is the longest that its reader may take.
	readTime = 30 * time.Second
)

// write opens a FIFO, which waits for containerd to open its end, writes to it, and
// waits until all of it was read.
func write(fifo, text string) (err error) {
	if fifo == "" {
		return nil
	}
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	for deadline := time.Now().Add(readTime); time.Now().Before(deadline); time.Sleep(readPause) {
		// FIONREAD by its other name tells at both ends of a pipe what is in it; pipe(7).
		left, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
		if err != nil || left == 0 {
			return err
		}
	}
	return fmt.Errorf("nobody reads %s", fifo)
}

func (s *tasks) State(_ context.Context, r *taskapi.StateRequest) (*taskapi.StateResponse, error) {
	t, err := s.task(r.GetID())
	if err != nil {
		return nil, err
	}
	state := &taskapi.StateResponse{
		ID: r.GetID(), Bundle: t.bundle, Pid: s.pid, Status: tasktypes.Status_CREATED, Stdout: t.stdout, Stderr: t.stderr,
	}
	select {
	case <-t.gone:
		state.Status, state.ExitedAt = tasktypes.Status_STOPPED, t.exited
	default:
	}
	return state, nil
}

func (s *tasks) Wait(ctx context.Context, r *taskapi.WaitRequest) (*taskapi.WaitResponse, error) {
	t, err := s.task(r.GetID())
	if err != nil {
		return nil, err
	}
	select {
	case <-t.gone:
		return &taskapi.WaitResponse{ExitedAt: t.exited}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *tasks) Kill(_ context.Context, r *taskapi.KillRequest) (*emptypb.Empty, error) {
	t, err := s.task(r.GetID())
	if err != nil {
		return nil, err
	}
	t.once.Do(t.end)
	return &emptypb.Empty{}, nil
}

func (s *tasks) Delete(_ context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	t, err := s.task(r.GetID())
	if err != nil {
		return nil, err
	}
	t.once.Do(t.end) // it was never started
	select {
	case <-t.gone:
	default:
		return nil, errgrpc.ToGRPCf(errdefs.ErrFailedPrecondition, "container %s has not ended", r.GetID())
	}
	s.mu.Lock()
	delete(s.tasks, r.GetID())
	s.mu.Unlock()
	return &taskapi.DeleteResponse{Pid: s.pid, ExitedAt: t.exited}, nil
}

func (s *tasks) Pids(context.Context, *taskapi.PidsRequest) (*taskapi.PidsResponse, error) {
	return &taskapi.PidsResponse{Processes: []*tasktypes.ProcessInfo{{Pid: s.pid}}}, nil
}

func (s *tasks) Connect(context.Context, *taskapi.ConnectRequest) (*taskapi.ConnectResponse, error) {
	return &taskapi.ConnectResponse{ShimPid: s.pid, TaskPid: s.pid}, nil
}

// Shutdown comes after every Delete and means nothing while the pod lives.
func (s *tasks) Shutdown(context.Context, *taskapi.ShutdownRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (s *tasks) Stats(context.Context, *taskapi.StatsRequest) (*taskapi.StatsResponse, error) {
	return &taskapi.StatsResponse{Stats: noMetrics}, nil
}
