package main

import (
	"context"
	"os"
	"runtime"
	"sync"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// taskVersion is that of the Task API; below 3 containerd ignores the address.
const taskVersion = 3

// controller knows of its pods that they are there.
type controller struct {
	sandboxapi.UnimplementedControllerServer
	address string
	pid     uint32

	mu   sync.Mutex // guards pods
	pods map[string]*pod
}

type pod struct {
	created time.Time
	gone    chan struct{} // closed by stop
	stop    func()
}

var _ sandboxapi.ControllerServer = (*controller)(nil)

func newController(address string) *controller {
	return &controller{address: address, pid: uint32(os.Getpid()), pods: map[string]*pod{}}
}

func (c *controller) pod(id string) (*pod, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[id]; p != nil {
		return p, nil
	}
	return nil, status.Errorf(codes.NotFound, "no sandbox %s", id)
}

func (c *controller) Create(_ context.Context, r *sandboxapi.ControllerCreateRequest) (*sandboxapi.ControllerCreateResponse, error) {
	p := &pod{created: time.Now(), gone: make(chan struct{})}
	p.stop = sync.OnceFunc(func() { close(p.gone) })
	c.mu.Lock()
	c.pods[r.GetSandboxID()] = p
	c.mu.Unlock()
	return &sandboxapi.ControllerCreateResponse{SandboxID: r.GetSandboxID()}, nil
}

func (c *controller) Start(_ context.Context, r *sandboxapi.ControllerStartRequest) (*sandboxapi.ControllerStartResponse, error) {
	p, err := c.pod(r.GetSandboxID())
	if err != nil {
		return nil, err
	}
	return &sandboxapi.ControllerStartResponse{
		SandboxID: r.GetSandboxID(), Pid: c.pid, CreatedAt: timestamppb.New(p.created),
		Address: c.address, Version: taskVersion,
	}, nil
}

func (c *controller) Platform(context.Context, *sandboxapi.ControllerPlatformRequest) (*sandboxapi.ControllerPlatformResponse, error) {
	return &sandboxapi.ControllerPlatformResponse{Platform: &types.Platform{OS: "linux", Architecture: runtime.GOARCH}}, nil
}

func (c *controller) Status(_ context.Context, r *sandboxapi.ControllerStatusRequest) (*sandboxapi.ControllerStatusResponse, error) {
	p, err := c.pod(r.GetSandboxID())
	if err != nil {
		return nil, err
	}
	state := "SANDBOX_READY"
	select {
	case <-p.gone:
		state = "SANDBOX_NOTREADY"
	default:
	}
	return &sandboxapi.ControllerStatusResponse{
		SandboxID: r.GetSandboxID(), Pid: c.pid, State: state, CreatedAt: timestamppb.New(p.created),
		Address: c.address, Version: taskVersion,
	}, nil
}

func (c *controller) Wait(ctx context.Context, r *sandboxapi.ControllerWaitRequest) (*sandboxapi.ControllerWaitResponse, error) {
	p, err := c.pod(r.GetSandboxID())
	if err != nil {
		return nil, err
	}
	select {
	case <-p.gone:
		return &sandboxapi.ControllerWaitResponse{ExitedAt: timestamppb.Now()}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *controller) Stop(_ context.Context, r *sandboxapi.ControllerStopRequest) (*sandboxapi.ControllerStopResponse, error) {
	if p, err := c.pod(r.GetSandboxID()); err == nil {
		p.stop()
	}
	return &sandboxapi.ControllerStopResponse{}, nil
}

func (c *controller) Shutdown(_ context.Context, r *sandboxapi.ControllerShutdownRequest) (*sandboxapi.ControllerShutdownResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[r.GetSandboxID()]; p != nil {
		p.stop()
		delete(c.pods, r.GetSandboxID())
	}
	return &sandboxapi.ControllerShutdownResponse{}, nil
}

func (c *controller) Metrics(_ context.Context, r *sandboxapi.ControllerMetricsRequest) (*sandboxapi.ControllerMetricsResponse, error) {
	return &sandboxapi.ControllerMetricsResponse{Metrics: &types.Metric{
		Timestamp: timestamppb.Now(), ID: r.GetSandboxID(), Data: noMetrics,
	}}, nil
}
