package task

import (
	"context"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/emptypb"

	"blazar/sandbox/task/taskapi"
)

// handlers turn messages into calls of the state machine.
type handlers struct{ *Server }

var empty = &emptypb.Empty{}

func (h handlers) create(ctx context.Context, r *taskapi.CreateTaskRequest) (*taskapi.CreateTaskResponse, error) {
	c, err := h.Server.create(ctx, &CreateRequest{
		ID:         r.GetId(),
		Bundle:     r.GetBundle(),
		Rootfs:     mountsFromProto(r.GetRootfs()),
		Stdio:      Stdio{Stdin: r.GetStdin(), Stdout: r.GetStdout(), Stderr: r.GetStderr(), Terminal: r.GetTerminal()},
		Options:    r.GetOptions(),
		Checkpoint: r.GetCheckpoint(),
	})
	if err != nil {
		return nil, err
	}
	_, pid := c.init.now()
	return &taskapi.CreateTaskResponse{Pid: pid}, nil
}

func (h handlers) start(ctx context.Context, r *taskapi.StartRequest) (*taskapi.StartResponse, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	pid, err := p.start(ctx)
	return &taskapi.StartResponse{Pid: pid}, err
}

func (h handlers) delete(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	exit, pid, err := p.delete(ctx)
	return &taskapi.DeleteResponse{Pid: pid, ExitStatus: exit.Status, ExitedAt: timestamp(exit.At)}, err
}

func (h handlers) exec(ctx context.Context, r *taskapi.ExecProcessRequest) (*emptypb.Empty, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	spec := &specs.Process{}
	if err := decode(r.GetSpec(), "Process", spec); err != nil {
		return nil, err
	}
	return empty, c.exec(ctx, &ExecRequest{
		ID:      r.GetExecId(),
		Stdio:   Stdio{Stdin: r.GetStdin(), Stdout: r.GetStdout(), Stderr: r.GetStderr(), Terminal: r.GetTerminal()},
		Process: spec,
	})
}

func (h handlers) state(_ context.Context, r *taskapi.StateRequest) (*taskapi.StateResponse, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	return p.state(), nil
}

func (h handlers) pids(ctx context.Context, r *taskapi.PidsRequest) (*taskapi.PidsResponse, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	infos, err := c.pids(ctx)
	return &taskapi.PidsResponse{Processes: infos}, err
}

func (h handlers) pause(ctx context.Context, r *taskapi.PauseRequest) (*emptypb.Empty, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	return empty, c.pause(ctx)
}

func (h handlers) resume(ctx context.Context, r *taskapi.ResumeRequest) (*emptypb.Empty, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	return empty, c.resume(ctx)
}

func (h handlers) checkpoint(ctx context.Context, r *taskapi.CheckpointTaskRequest) (*emptypb.Empty, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	return empty, c.checkpoint(ctx, r.GetPath(), r.GetOptions())
}

func (h handlers) kill(ctx context.Context, r *taskapi.KillRequest) (*emptypb.Empty, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	return empty, p.kill(ctx, syscall.Signal(r.GetSignal()), r.GetAll())
}

func (h handlers) resizePty(ctx context.Context, r *taskapi.ResizePtyRequest) (*emptypb.Empty, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	return empty, p.resize(ctx, r.GetWidth(), r.GetHeight())
}

func (h handlers) closeIO(ctx context.Context, r *taskapi.CloseIORequest) (*emptypb.Empty, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	if !r.GetStdin() {
		return empty, nil
	}
	return empty, p.closeIO(ctx)
}

func (h handlers) update(ctx context.Context, r *taskapi.UpdateTaskRequest) (*emptypb.Empty, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	return empty, c.update(ctx, r.GetResources(), r.GetAnnotations())
}

func (h handlers) wait(ctx context.Context, r *taskapi.WaitRequest) (*taskapi.WaitResponse, error) {
	p, err := h.process(r.GetId(), r.GetExecId())
	if err != nil {
		return nil, err
	}
	exit, err := p.wait(ctx)
	return &taskapi.WaitResponse{ExitStatus: exit.Status, ExitedAt: timestamp(exit.At)}, err
}

func (h handlers) stats(ctx context.Context, r *taskapi.StatsRequest) (*taskapi.StatsResponse, error) {
	c, err := h.container(r.GetId())
	if err != nil {
		return nil, err
	}
	stats, err := c.stats(ctx)
	return &taskapi.StatsResponse{Stats: stats}, err
}

// connect answers for unknown containers too, as containerd's own shim does: it is
// what containerd asks to see whether anybody answers.
func (h handlers) connect(_ context.Context, r *taskapi.ConnectRequest) (*taskapi.ConnectResponse, error) {
	response := &taskapi.ConnectResponse{ShimPid: h.options.Pid}
	if c, err := h.container(r.GetId()); err == nil {
		_, response.TaskPid = c.init.now()
	}
	return response, nil
}

// shutdown does nothing: containerd asks for it after every Delete, and the server
// lives as long as its pod.
func (h handlers) shutdown(context.Context, *taskapi.ShutdownRequest) (*emptypb.Empty, error) {
	return empty, nil
}

func mountsFromProto(in []*taskapi.Mount) []Mount {
	var out []Mount
	for _, m := range in {
		out = append(out, Mount{Type: m.GetType(), Source: m.GetSource(), Target: m.GetTarget(), Options: m.GetOptions()})
	}
	return out
}

func mountsToProto(in []Mount) []*taskapi.Mount {
	var out []*taskapi.Mount
	for _, m := range in {
		out = append(out, &taskapi.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return out
}
