package task

import (
	"context"

	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"blazar/sandbox/task/taskapi"
)

// Register adds the services containerd.task.v3.Task and containerd.task.v2.Task.
func (s *Server) Register(t *ttrpc.Server) {
	h := handlers{s}
	methods := map[string]ttrpc.Method{
		taskapi.MethodState:      unary(s, h.state),
		taskapi.MethodCreate:     unary(s, h.create),
		taskapi.MethodStart:      unary(s, h.start),
		taskapi.MethodDelete:     unary(s, h.delete),
		taskapi.MethodPids:       unary(s, h.pids),
		taskapi.MethodPause:      unary(s, h.pause),
		taskapi.MethodResume:     unary(s, h.resume),
		taskapi.MethodCheckpoint: unary(s, h.checkpoint),
		taskapi.MethodKill:       unary(s, h.kill),
		taskapi.MethodExec:       unary(s, h.exec),
		taskapi.MethodResizePty:  unary(s, h.resizePty),
		taskapi.MethodCloseIO:    unary(s, h.closeIO),
		taskapi.MethodUpdate:     unary(s, h.update),
		taskapi.MethodWait:       unary(s, h.wait),
		taskapi.MethodStats:      unary(s, h.stats),
		taskapi.MethodConnect:    unary(s, h.connect),
		taskapi.MethodShutdown:   unary(s, h.shutdown),
	}
	for _, name := range []string{taskapi.ServiceV3, taskapi.ServiceV2} {
		t.RegisterService(name, &ttrpc.ServiceDesc{Methods: methods})
	}
}

// unary makes a ttrpc method of a handler: it counts the request, bounds it, gives
// it a logger that names the container, and turns its error into a code.
func unary[T any, P interface {
	*T
	proto.Message
	GetId() string
}, R proto.Message](s *Server, handle func(context.Context, P) (R, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		request := P(new(T))
		if err := unmarshal(request); err != nil {
			return nil, err
		}
		if err := s.begin(); err != nil {
			return nil, errgrpc.ToGRPC(err)
		}
		defer s.work.Done()
		ctx = log.WithLogger(ctx, log.G(ctx).WithField("container_id", request.GetId()))
		if _, waits := any(request).(*taskapi.WaitRequest); !waits {
			if _, ok := ctx.Deadline(); !ok {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, s.options.CallTimeout)
				defer cancel()
			}
		}
		var response R
		err := guard(ctx, "task service", func() (err error) {
			response, err = handle(ctx, request)
			return err
		})
		if err != nil {
			return nil, errgrpc.ToGRPC(err)
		}
		return response, nil
	}
}
