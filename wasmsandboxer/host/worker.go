package host

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/wasmsandboxer/hostapi"
)

// Workers are the processes of a pod that run one container each, for those that are
// not to share the pod's own: wasm-tasks with a user, a root and a cgroup of their
// own. Safe for concurrent use.
type Workers interface {
	// Start starts a container's worker. task, which the caller closes, is the only
	// connection to the worker's Task API, and the worker ends with it.
	// errdefs.ErrAlreadyExists if the container has one. Nothing is left of one that
	// could not be started.
	Start(ctx context.Context, w Worker) (pid uint32, task *os.File, err error)
	// Kill ends the worker if it still runs and says how it ended;
	// errdefs.ErrNotFound if the container has none. message, which the caller closes,
	// takes the container's last words: the worker has none any more. It may be nil.
	Kill(ctx context.Context, container string) (end *hostapi.KillReply, message *os.File, err error)
	// Remove ends the worker and frees all it has. No worker is no error.
	Remove(ctx context.Context, container string) error
}

// Worker is a worker to be started.
type Worker struct {
	Container string
	// Why says for people why it has one.
	Why string
	// Resources are the limits of its cgroup.
	Resources *specs.LinuxResources
}

// startWorker starts the worker of a container, which will then prepare it.
func (s *Service) startWorker(ctx context.Context, b *bundle, rec *Container, why string) (*hostapi.PrepareReply, error) {
	if s.pod.Workers == nil {
		return nil, fmt.Errorf("%s: this pod has no processes for its containers: %w", why, errdefs.ErrNotImplemented)
	}
	w := Worker{Container: rec.ID, Why: why, Resources: s.workerResources(rec)}
	pid, task, err := s.pod.Workers.Start(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("process of container %s: %w", rec.ID, err)
	}
	b.add(hostapi.RoleWorker, task)
	err = s.note(rec.ID, func(e *Entry) { *e = Entry{Worker: fmt.Sprintf("process %d: %s", pid, why)} })
	if err != nil {
		return nil, err
	}
	return &hostapi.PrepareReply{Roles: b.roles, Worker: &hostapi.Worker{Pid: pid}}, nil
}

// workerResources are the limits of a worker's cgroup: the container's memory limit
// with the overhead on top, so that a guest over it ends by its engine, with a
// reason, and not by the kernel. A container without a limit has the pod's.
// Its CPU time is weighed against that of the other processes of the pod; quota and
// CPUs hold for the guest's threads, as they do everywhere.
func (s *Service) workerResources(rec *Container) *specs.LinuxResources {
	limit := int64(memoryLimit(rec))
	if limit == 0 {
		limit = s.pod.Config.GetLinux().GetResources().GetMemoryLimitInBytes()
	}
	if limit <= 0 {
		limit = -1
	} else {
		limit += s.pod.MemoryOverhead
	}
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	if shares := cpuLimits(rec).Shares; shares != 0 {
		r.CPU = &specs.LinuxCPU{Shares: &shares}
	}
	return r
}

// limitWorker sets the limits that the worker has by now, if this is its service.
func (s *Service) limitWorker(ctx context.Context, rec *Container) error {
	if s.pod.Container == "" || s.pod.Group == nil {
		return nil
	}
	return s.pod.Group.Update(ctx, s.workerResources(rec))
}

// kill ends a worker; what is asked of a container without one is refused.
func (s *Service) kill(ctx context.Context, q *hostapi.KillRequest) (any, []*os.File, error) {
	if err := identifiers.Validate(q.Container); err != nil {
		return nil, nil, fmt.Errorf("container id %q: %w", clip(q.Container), errdefs.ErrInvalidArgument)
	}
	if end, done, err := s.killLinux(ctx, q.Container); done || err != nil {
		return end, nil, err
	}
	if s.pod.Workers == nil {
		return nil, nil, fmt.Errorf("process of container %s: %w", q.Container, errdefs.ErrNotFound)
	}
	end, message, err := s.pod.Workers.Kill(ctx, q.Container)
	if err != nil || message == nil {
		return end, nil, err
	}
	end.Roles = []string{hostapi.RoleMessage}
	return end, []*os.File{message}, nil
}

// Message opens the file that takes the last words of the container whose worker this
// service is of; nil if it has none.
func (s *Service) Message(ctx context.Context) *os.File {
	rec, err := s.lookup(ctx, s.pod.Container)
	if err != nil {
		return nil // it is a courtesy
	}
	c, leave, err := s.enter(ctx, rec.ID)
	if err != nil {
		return nil
	}
	defer leave()
	if err := s.appear(ctx, rec.ID, c); err != nil {
		return nil
	}
	f, err := s.openFiles(rec.ID)
	if err != nil {
		return nil
	}
	defer f.close()
	return openMessage(f.root, rec.Spec, s.pod.UID)
}

func (s *Service) removeWorker(ctx context.Context, id string) error {
	if s.pod.Workers == nil {
		return nil
	}
	return s.pod.Workers.Remove(ctx, id)
}
