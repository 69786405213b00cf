package main

import (
	"context"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// noMetrics is what containerd's collector, which asks once a second, can read.
var noMetrics = func() *anypb.Any {
	a, err := typeurl.MarshalAnyToProto(&cgroup1.Metrics{})
	if err != nil {
		panic(err) // an empty message of a registered type
	}
	return a
}()

// unimplemented is the answer to what no cold start needs.
func unimplemented[R any](what string) (R, error) {
	var none R
	return none, errgrpc.ToGRPCf(errdefs.ErrNotImplemented, "the floor has no %s", what)
}

func (s *tasks) Pause(context.Context, *taskapi.PauseRequest) (*emptypb.Empty, error) {
	return unimplemented[*emptypb.Empty]("pause")
}

func (s *tasks) Resume(context.Context, *taskapi.ResumeRequest) (*emptypb.Empty, error) {
	return unimplemented[*emptypb.Empty]("resume")
}

func (s *tasks) Checkpoint(context.Context, *taskapi.CheckpointTaskRequest) (*emptypb.Empty, error) {
	return unimplemented[*emptypb.Empty]("checkpoint")
}

func (s *tasks) Exec(context.Context, *taskapi.ExecProcessRequest) (*emptypb.Empty, error) {
	return unimplemented[*emptypb.Empty]("exec")
}

func (s *tasks) ResizePty(context.Context, *taskapi.ResizePtyRequest) (*emptypb.Empty, error) {
	return unimplemented[*emptypb.Empty]("terminal")
}

func (s *tasks) CloseIO(context.Context, *taskapi.CloseIORequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (s *tasks) Update(context.Context, *taskapi.UpdateTaskRequest) (*emptypb.Empty, error) {
	return unimplemented[*emptypb.Empty]("update")
}
