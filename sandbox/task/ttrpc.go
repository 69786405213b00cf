package task

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"blazar/sandbox/task/taskapi"
)

// Register adds the services containerd.task.v3.Task and containerd.task.v2.Task.
func (s *Server) Register(t *ttrpc.Server) { s.register(t, "") }

// RegisterContainer adds the same services for somebody who is trusted with what goes
// on in one container only: whatever is asked of another one is errdefs.ErrNotFound;
// making, deleting, updating, pausing and checkpointing is errdefs.ErrPermissionDenied.
func (s *Server) RegisterContainer(t *ttrpc.Server, id string) { s.register(t, id) }

func (s *Server) register(t *ttrpc.Server, only string) {
	h := handlers{s}
	methods := map[string]ttrpc.Method{
		taskapi.MethodState:      unary(s, only, h.state),
		taskapi.MethodCreate:     unary(s, only, trusted(only, "create", h.create)),
		taskapi.MethodStart:      unary(s, only, h.start),
		taskapi.MethodDelete:     unary(s, only, h.deleteAdded(only)),
		taskapi.MethodPids:       unary(s, only, h.pids),
		taskapi.MethodPause:      unary(s, only, trusted(only, "pause", h.pause)),
		taskapi.MethodResume:     unary(s, only, trusted(only, "resume", h.resume)),
		taskapi.MethodCheckpoint: unary(s, only, trusted(only, "checkpoint", h.checkpoint)),
		taskapi.MethodKill:       unary(s, only, h.kill),
		taskapi.MethodExec:       unary(s, only, h.exec),
		taskapi.MethodResizePty:  unary(s, only, h.resizePty),
		taskapi.MethodCloseIO:    unary(s, only, h.closeIO),
		taskapi.MethodUpdate:     unary(s, only, trusted(only, "update", h.update)),
		taskapi.MethodWait:       unary(s, only, h.wait),
		taskapi.MethodStats:      unary(s, only, h.stats),
		taskapi.MethodConnect:    unary(s, only, h.connect),
		taskapi.MethodShutdown:   unary(s, only, h.shutdown),
	}
	for _, name := range []string{taskapi.ServiceV3, taskapi.ServiceV2} {
		t.RegisterService(name, &ttrpc.ServiceDesc{Methods: methods})
	}
}

// trusted refuses a method to whoever may do with one container only.
func trusted[P, R any](only, verb string, handle func(context.Context, P) (R, error)) func(context.Context, P) (R, error) {
	if only == "" {
		return handle
	}
	return func(context.Context, P) (R, error) {
		var none R
		return none, fmt.Errorf("%s over a connection for container %q: %w", verb, only, errdefs.ErrPermissionDenied)
	}
}

// deleteAdded deletes, for whoever may do with one container only, no container.
func (h handlers) deleteAdded(only string) func(context.Context, *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	refuse := trusted(only, "delete", h.delete)
	return func(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
		if r.GetExecId() != "" {
			return h.delete(ctx, r)
		}
		return refuse(ctx, r)
	}
}

// unary makes a ttrpc method of a handler: it checks whom the request is
// about if there is only one, counts it, bounds it, gives it a logger that names the container, and turns its error into a code.
func unary[T any, P interface {
	*T
	proto.Message
	GetId() string
}, R proto.Message](s *Server, only string, handle func(context.Context, P) (R, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		request := P(new(T))
		if err := unmarshal(request); err != nil {
			return nil, err
		}
		if only != "" && request.GetId() != only {
			return nil, errgrpc.ToGRPC(fmt.Errorf("container %q: %w", request.GetId(), errdefs.ErrNotFound))
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
