package main

import (
	"context"
	"os"
	"sync"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
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

// Start runs the whole life of the container, of which containerd hears afterwards.
func (s *tasks) Start(_ context.Context, r *taskapi.StartRequest) (*taskapi.StartResponse, error) {
	t, err := s.task(r.GetID())
	if err != nil {
		return nil, err
	}
	t.once.Do(func() {
		if err = write(t.stdout, line); err == nil {
			err = write(t.stderr, "")
		}
		t.end()
	})
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	return &taskapi.StartResponse{Pid: s.pid}, nil
}

func (t *task) end() {
	t.exited = timestamppb.Now()
	close(t.gone)
}

// write opens a FIFO, which waits for containerd to open its end, and writes to it.
func write(fifo, text string) error {
	if fifo == "" {
		return nil
	}
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close() // the first error says more
		return err
	}
	return f.Close()
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
	t.once.Do(t.end)
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
