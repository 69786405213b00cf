package wasmtask

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/log"

	"blazar/engines"
	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// Host is the host service: asks it and returns the files of the answer, which
// are the caller's.
type Host interface {
	Call(ctx context.Context, method string, body, reply any) ([]*os.File, error)
}

var _ Host = (*hostapi.Client)(nil)

// Runtime makes containers that run in this process.
type Runtime struct {
	host    Host
	hello   hostapi.Hello
	modules *modules
}

var _ task.Runtime = (*Runtime)(nil)

// New makes a runtime with the engines of r.
func New(host Host, r *engines.Registry, hello hostapi.Hello) *Runtime {
	return &Runtime{host: host, hello: hello, modules: newModules(r)}
}

// Create prepares a container: its files, its module, its instance. Nothing of the
// guest runs.
func (r *Runtime) Create(ctx context.Context, q *task.CreateRequest) (_ task.Container, err error) {
	ctx = log.WithLogger(ctx, log.G(ctx).WithField("container_id", q.ID))
	if q.Checkpoint != "" {
		return nil, fmt.Errorf("container %s: restoring from a checkpoint: %w", q.ID, errNoCheckpoint)
	}
	var p hostapi.PrepareReply
	files, err := r.host.Call(ctx, hostapi.MethodPrepare,
		&hostapi.PrepareRequest{Container: q.ID, Stdio: stdio(q.Stdio), Later: true, Linux: true}, &p)
	if err != nil {
		// The daemon may have got half way; a request that never arrived costs nothing.
		r.remove(ctx, q.ID)
		return nil, fmt.Errorf("container %s: %w", q.ID, err)
	}
	for _, note := range p.Notes {
		log.G(ctx).Warn(note)
	}
	if p.Worker != nil {
		c, err := newIsolated(ctx, r, q, &p, files)
		if err != nil {
			r.remove(ctx, q.ID)
			return nil, fmt.Errorf("container %s: %w", q.ID, err)
		}
		return c, nil
	}
	c := newContainer(r, q.ID, &p)
	if err := c.init(ctx, files); err != nil {
		r.remove(ctx, q.ID)
		return nil, fmt.Errorf("container %s: %w", q.ID, err)
	}
	return c, nil
}

// remove takes a container's files away; what stays is removed with the pod.
func (r *Runtime) remove(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if _, err := r.host.Call(ctx, hostapi.MethodRemove, &hostapi.RemoveRequest{Container: id}, nil); err != nil {
		log.G(ctx).WithError(err).Warn("the container's files stay mounted until the pod is removed")
	}
}

func stdio(s task.Stdio) hostapi.Stdio {
	return hostapi.Stdio{Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Terminal: s.Terminal}
}
