package task

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"blazar/sandbox/task/taskapi"
)

// status is the state of a process in containerd's words.
func (c *container) status(p *process) taskapi.Status {
	now, _ := p.now()
	switch now {
	case created, starting:
		return taskapi.Status_CREATED
	case running:
		if frozen := c.frozenStatus(); frozen != taskapi.Status_UNKNOWN {
			return frozen
		}
		return taskapi.Status_RUNNING
	default:
		return taskapi.Status_STOPPED
	}
}

// state describes a process.
func (p *process) state() *taskapi.StateResponse {
	status := p.container.status(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= stopped {
		status = taskapi.Status_STOPPED
	}
	r := &taskapi.StateResponse{
		Id:         p.container.id,
		Bundle:     p.container.bundle,
		Pid:        p.pid,
		Status:     status,
		Stdin:      p.stdio.Stdin,
		Stdout:     p.stdio.Stdout,
		Stderr:     p.stdio.Stderr,
		Terminal:   p.stdio.Terminal,
		ExitStatus: p.exit.Status,
		ExecId:     p.execID,
	}
	if p.phase >= stopped {
		r.ExitedAt = timestamppb.New(p.exit.At)
	}
	return r
}

// wait blocks until the process has ended.
func (p *process) wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("wait for %s: %w", p.name(), ctx.Err())
	case <-p.container.server.ctx.Done():
		return Exit{}, fmt.Errorf("wait for %s: the task server is going down: %w", p.name(), errdefs.ErrUnavailable)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit, nil
}

// pids lists the container's processes. It is never empty: containerd, after its
// own restart, takes a container without processes for a leaked one and deletes
// it, and with it an exit that nobody has asked for yet. So a container without
// a process of its own is represented by the process that serves it.
func (c *container) pids(ctx context.Context) ([]*taskapi.ProcessInfo, error) {
	execs := map[uint32]string{}
	var pids []uint32
	for _, p := range append([]*process{c.init}, c.added()...) {
		now, pid := p.now()
		if now >= stopped || pid == 0 {
			continue
		}
		pids = append(pids, pid)
		if _, ok := execs[pid]; !ok {
			execs[pid] = p.execID
		}
	}
	if p, ok := c.impl.(Pidser); ok && !c.init.ended() {
		var all []uint32
		err := guard(ctx, "pids", func() (err error) {
			all, err = p.Pids(ctx)
			return err
		})
		switch {
		case err == nil && len(all) > 0:
			pids = all
		case err != nil && !errdefs.IsNotFound(err):
			return nil, fmt.Errorf("pids of container %q: %w", c.id, err)
		}
	}
	if len(pids) == 0 {
		pids = []uint32{c.server.options.Pid}
	}
	seen := map[uint32]bool{}
	var infos []*taskapi.ProcessInfo
	for _, pid := range pids {
		if !seen[pid] {
			seen[pid] = true
			infos = append(infos, processInfo(pid, execs[pid]))
		}
	}
	return infos, nil
}

// processInfo tells, as containerd's runc shim does, which exec a process is: with
// a containerd.runc.v1.ProcessDetails, whose only field is exec_id = 1.
func processInfo(pid uint32, execID string) *taskapi.ProcessInfo {
	info := &taskapi.ProcessInfo{Pid: pid}
	if execID != "" {
		value := protowire.AppendTag(nil, 1, protowire.BytesType)
		info.Info = &anypb.Any{
			TypeUrl: "containerd.runc.v1.ProcessDetails",
			Value:   protowire.AppendString(value, execID),
		}
	}
	return info
}

// stats measures the container.
func (c *container) stats(ctx context.Context) (*anypb.Any, error) {
	m, ok := c.impl.(Meter)
	if !ok {
		return nil, c.server.notImplemented("statistics")
	}
	if c.init.ended() {
		return nil, fmt.Errorf("container %q has exited, nothing to measure: %w", c.id, errdefs.ErrNotFound)
	}
	var message proto.Message
	err := guard(ctx, "stats", func() (err error) {
		message, err = m.Stats(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stats of container %q: %w", c.id, err)
	}
	return pack(message)
}

// pack puts a message into an Any with the name that containerd knows it by, unless
// it is one already.
func pack(message proto.Message) (*anypb.Any, error) {
	if a, ok := message.(*anypb.Any); ok && a != nil {
		return a, nil
	}
	if message == nil {
		return nil, fmt.Errorf("the runtime returned nothing: %w", errdefs.ErrInternal)
	}
	return typeurl.MarshalAnyToProto(message)
}

// timestamp is nil for the zero time, as containerd's own shim answers.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
