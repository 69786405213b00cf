package controller

import (
	"context"
	"runtime"
	"time"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Register adds the service to a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	api.RegisterControllerServer(r, &handlers{service: s})
}

// handlers turn messages into calls of pods.
type handlers struct {
	api.UnimplementedControllerServer
	service *Service
}

var _ api.ControllerServer = (*handlers)(nil)

// do counts a request, names the sandbox in its log lines, and turns its error into
// a code.
func do[R any](ctx context.Context, s *Service, id string, handle func(context.Context) (R, error)) (R, error) {
	var none R
	if err := s.begin(); err != nil {
		return none, errgrpc.ToGRPC(err)
	}
	defer s.work.Done()
	ctx = log.WithLogger(ctx, log.G(ctx).WithFields(log.Fields{"sandbox_id": id, "kind": s.sandboxer.Kind()}))
	var response R
	err := guard(ctx, "controller", func() (err error) {
		response, err = handle(ctx)
		return err
	})
	if err != nil {
		return none, errgrpc.ToGRPC(err)
	}
	return response, nil
}

func (h *handlers) Create(ctx context.Context, r *api.ControllerCreateRequest) (*api.ControllerCreateResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerCreateResponse, error) {
		ctx, cancel := bound(ctx, h.service.config.Timeouts.Create)
		defer cancel()
		namespace, ok := namespaces.Namespace(ctx)
		if !ok {
			namespace = namespaces.Default
		}
		record, err := newRecord(h.service.sandboxer.Kind(), namespace, r)
		if err != nil {
			return nil, err
		}
		return &api.ControllerCreateResponse{SandboxID: r.GetSandboxID()}, h.service.create(ctx, record)
	})
}

func (h *handlers) Start(ctx context.Context, r *api.ControllerStartRequest) (*api.ControllerStartResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerStartResponse, error) {
		ctx, cancel := bound(ctx, h.service.config.Timeouts.Start)
		defer cancel()
		p, err := h.service.pod(r.GetSandboxID())
		if err != nil {
			return nil, err
		}
		start, err := p.start(ctx)
		if err != nil {
			return nil, err
		}
		return &api.ControllerStartResponse{
			SandboxID: p.id,
			Pid:       start.Pid,
			CreatedAt: timestamppb.New(start.CreatedAt),
			Labels:    start.Labels,
			Address:   start.Address,
			Version:   taskVersion,
		}, nil
	})
}

// Platform is linux for every kind: the CRI plugin makes specifications for no other.
func (h *handlers) Platform(ctx context.Context, r *api.ControllerPlatformRequest) (*api.ControllerPlatformResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(context.Context) (*api.ControllerPlatformResponse, error) {
		if _, err := h.service.pod(r.GetSandboxID()); err != nil {
			return nil, err
		}
		return &api.ControllerPlatformResponse{Platform: &types.Platform{OS: "linux", Architecture: runtime.GOARCH}}, nil
	})
}

// Stop goes on when its caller goes away.
func (h *handlers) Stop(ctx context.Context, r *api.ControllerStopRequest) (*api.ControllerStopResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerStopResponse, error) {
		timeout := h.service.config.Timeouts.Stop
		if t := r.GetTimeoutSecs(); t > 0 {
			timeout = time.Duration(t) * time.Second
		}
		ctx, cancel := detach(ctx, timeout)
		defer cancel()
		if p := h.service.lookup(r.GetSandboxID()); p != nil {
			return &api.ControllerStopResponse{}, p.stop(ctx)
		}
		return &api.ControllerStopResponse{}, nil
	})
}

// Shutdown goes on when its caller goes away.
func (h *handlers) Shutdown(ctx context.Context, r *api.ControllerShutdownRequest) (*api.ControllerShutdownResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerShutdownResponse, error) {
		ctx, cancel := detach(ctx, h.service.config.Timeouts.Stop)
		defer cancel()
		if p := h.service.lookup(r.GetSandboxID()); p != nil {
			return &api.ControllerShutdownResponse{}, p.shutdown(ctx)
		}
		return &api.ControllerShutdownResponse{}, nil
	})
}

func (h *handlers) Wait(ctx context.Context, r *api.ControllerWaitRequest) (*api.ControllerWaitResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerWaitResponse, error) {
		p, err := h.service.pod(r.GetSandboxID())
		if err != nil {
			return nil, err
		}
		exit, err := p.wait(ctx)
		if err != nil {
			return nil, err
		}
		return &api.ControllerWaitResponse{ExitStatus: exit.Status, ExitedAt: timestamppb.New(exit.At)}, nil
	})
}

func (h *handlers) Status(ctx context.Context, r *api.ControllerStatusRequest) (*api.ControllerStatusResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerStatusResponse, error) {
		ctx, cancel := bound(ctx, h.service.config.Timeouts.Query)
		defer cancel()
		p, err := h.service.pod(r.GetSandboxID())
		if err != nil {
			return nil, err
		}
		return p.status(ctx, r.GetVerbose()), nil
	})
}

func (h *handlers) Metrics(ctx context.Context, r *api.ControllerMetricsRequest) (*api.ControllerMetricsResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerMetricsResponse, error) {
		ctx, cancel := bound(ctx, h.service.config.Timeouts.Query)
		defer cancel()
		p, err := h.service.pod(r.GetSandboxID())
		if err != nil {
			return nil, err
		}
		metric, err := p.metrics(ctx)
		return &api.ControllerMetricsResponse{Metrics: metric}, err
	})
}

func (h *handlers) Update(ctx context.Context, r *api.ControllerUpdateRequest) (*api.ControllerUpdateResponse, error) {
	return do(ctx, h.service, r.GetSandboxID(), func(ctx context.Context) (*api.ControllerUpdateResponse, error) {
		ctx, cancel := bound(ctx, h.service.config.Timeouts.Query)
		defer cancel()
		p, err := h.service.pod(r.GetSandboxID())
		if err != nil {
			return nil, err
		}
		return &api.ControllerUpdateResponse{}, p.update(ctx, r)
	})
}
