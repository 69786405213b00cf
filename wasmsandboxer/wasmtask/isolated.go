package wasmtask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task"
	"blazar/sandbox/task/taskapi"
	"blazar/wasmsandboxer/hostapi"
)

// isolated is a container that runs in a worker: everything is asked of the worker's
// Task API. The worker is not trusted with more than its container: its pid comes
// from the daemon, and when it is gone the daemon says how.
type isolated struct {
	*isolatedProcess
	rt *Runtime
	id string
	// linux says that it is the task server of Linux containers that runs it, which made
	// it already. pid is the worker's, of a Linux container that of its first process once
	// that runs.
	linux  bool
	pid    atomic.Uint32
	conn   *connection
	client *ttrpc.Client
	tasks  *taskapi.Client
	oom    chan struct{}

	mu   sync.Mutex // guards over
	over bool       // the first process has ended, oom is closed

	ctx    context.Context // lives until Delete
	cancel context.CancelFunc
	work   sync.WaitGroup

	lost func() task.Exit // how the container ended whose worker is gone
}

var (
	_ task.Container   = (*isolated)(nil)
	_ task.Meter       = (*isolated)(nil)
	_ task.Pidser      = (*isolated)(nil)
	_ task.Updater     = (*isolated)(nil)
	_ task.OOMNotifier = (*isolated)(nil)
)

// newIsolated has the worker make the container; files are what came with p.
func newIsolated(ctx context.Context, r *Runtime, q *task.CreateRequest, p *hostapi.PrepareReply, files []*os.File) (_ *isolated, err error) {
	s, err := takeStreams(p.Roles, files)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.worker == nil {
		return nil, fmt.Errorf("host service sent no connection to worker %d: %w", p.Worker.Pid, errdefs.ErrInternal)
	}
	c := &isolated{rt: r, id: q.ID, linux: p.Worker.Linux, oom: make(chan struct{}, 1)}
	c.pid.Store(p.Worker.Pid)
	c.isolatedProcess = &isolatedProcess{c: c}
	if c.conn, err = newConnection(s.worker); err != nil {
		return nil, fmt.Errorf("connection to worker %d: %w", p.Worker.Pid, err)
	}
	c.client = ttrpc.NewClient(c.conn)
	c.tasks = taskapi.NewClient(c.client)
	c.ctx, c.cancel = context.WithCancel(log.WithLogger(context.Background(), log.L.WithField("container_id", q.ID)))
	c.lost = sync.OnceValue(c.bury)
	if c.linux {
		c.work.Go(c.await)
		return c, nil
	}
	_, err = c.tasks.Create(ctx, &taskapi.CreateTaskRequest{
		Id: q.ID, Stdin: q.Stdio.Stdin, Stdout: q.Stdio.Stdout, Stderr: q.Stdio.Stderr, Terminal: q.Stdio.Terminal,
	})
	if err != nil {
		err = without(c.explain(ctx, err), fmt.Sprintf("create container %q: container %s: ", c.id, c.id))
		c.release()
		return nil, err
	}
	c.work.Go(c.follow)
	return c, nil
}

// release lets go of the worker, which ends with the connection.
func (c *isolated) release() {
	c.cancel()
	_ = c.client.Close() // closed already if the worker is gone
	_ = c.conn.Close()
	c.work.Wait()
}

// follow takes the worker's events until the container's first process has ended.
func (c *isolated) follow() {
	defer c.end()
	for {
		e, err := nextEvent(c.ctx, c.client)
		if err != nil {
			if c.ctx.Err() == nil && c.conn.isGone() {
				c.lost() // yields itself if it was for want of memory
			}
			return
		}
		switch _, name, _ := strings.Cut(e.GetTypeUrl(), "containerd.events."); name {
		case "TaskOOM":
			c.outOfMemory()
		case "TaskExit":
			var exit taskapi.TaskExit
			if err := proto.Unmarshal(e.GetValue(), &exit); err == nil && exit.GetId() == c.id {
				return
			}
		}
	}
}

// await waits for the end of a Linux container, of which nothing else is told here: that
// memory ran out its task server tells containerd.
func (c *isolated) await() {
	defer c.end()
	for c.ctx.Err() == nil && !c.conn.isGone() {
		_, err := c.tasks.Wait(c.ctx, &taskapi.WaitRequest{Id: c.id})
		if err == nil {
			return
		}
		select { // before Start there may be nothing to wait for
		case <-c.ctx.Done():
		case <-c.conn.gone:
		case <-time.After(awaitPause):
		}
	}
}

// awaitPause is how long to wait before a refused Wait is tried again.
const awaitPause = 200 * time.Millisecond

// end follows the end of the first process.
func (c *isolated) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	close(c.oom)
}

// outOfMemory tells of it; one event that is not told of yet is enough.
func (c *isolated) outOfMemory() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	select {
	case c.oom <- struct{}{}:
	default:
	}
}

// Exec has the worker prepare one more process.
func (c *isolated) Exec(ctx context.Context, q *task.ExecRequest) (task.Process, error) {
	spec, err := specAny("Process", q.Process)
	if err != nil {
		return nil, err
	}
	err = c.tasks.Exec(ctx, &taskapi.ExecProcessRequest{
		Id: c.id, ExecId: q.ID, Stdin: q.Stdio.Stdin, Stdout: q.Stdio.Stdout, Stderr: q.Stdio.Stderr,
		Terminal: q.Stdio.Terminal, Spec: spec,
	})
	if err != nil {
		return nil, without(c.explain(ctx, err), fmt.Sprintf("exec %q of container %q: ", q.ID, c.id))
	}
	return &isolatedProcess{c: c, exec: q.ID}, nil
}

// without is an error of the worker without what is said of it here once more.
func without(err error, prefix string) error {
	if text, ok := strings.CutPrefix(err.Error(), prefix); ok {
		return &shortened{err, text}
	}
	return err
}

type shortened struct {
	error
	text string
}

// Error is the shorter text.
func (e *shortened) Error() string { return e.text }

// Unwrap keeps the kind.
func (e *shortened) Unwrap() error { return e.error }

// specAny packs one of the runtime specification's types as containerd does.
func specAny(name string, v any) (*anypb.Any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/" + name, Value: b}, nil
}

// Delete has the daemon end the worker and take away all that it has.
func (c *isolated) Delete(ctx context.Context) error {
	_, err := c.rt.host.Call(ctx, hostapi.MethodRemove, &hostapi.RemoveRequest{Container: c.id}, nil)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	c.release()
	return nil
}

// Stats are the worker's, of its guest.
func (c *isolated) Stats(ctx context.Context) (proto.Message, error) {
	r, err := c.tasks.Stats(ctx, &taskapi.StatsRequest{Id: c.id})
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return r.GetStats(), nil
}

// Pids is the worker, or the processes of a Linux container.
func (c *isolated) Pids(ctx context.Context) ([]uint32, error) {
	if !c.linux {
		return []uint32{c.pid.Load()}, nil
	}
	r, err := c.tasks.Pids(ctx, &taskapi.PidsRequest{Id: c.id})
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	var out []uint32
	for _, p := range r.GetProcesses() {
		out = append(out, p.GetPid())
	}
	return out, nil
}

// Update changes limits; those of the worker's cgroup follow. Those of a Linux
// container the daemon takes from containerd's record.
func (c *isolated) Update(ctx context.Context, r *specs.LinuxResources, annotations map[string]string) error {
	if c.linux {
		_, err := c.rt.host.Call(ctx, hostapi.MethodLimit, &hostapi.LimitRequest{Container: c.id}, nil)
		return err
	}
	resources, err := specAny("LinuxResources", r)
	if err != nil {
		return err
	}
	err = c.tasks.Update(ctx, &taskapi.UpdateTaskRequest{Id: c.id, Resources: resources, Annotations: annotations})
	return c.explain(ctx, err)
}

// OOM yields when the guest ended over its memory limit, or the worker over that of
// its cgroup.
func (c *isolated) OOM() <-chan struct{} { return c.oom }

// explain makes an error of a worker that is gone one that says so.
func (c *isolated) explain(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || !c.conn.isGone() {
		return err
	}
	reply, s, kerr := c.kill(ctx)
	s.close()
	if kerr != nil {
		return fmt.Errorf("the container's process %d is gone: %w", c.pid.Load(), errors.Join(err, kerr))
	}
	return fmt.Errorf("the container's process %d is gone: %s: %w", c.pid.Load(), reply.Reason, errdefs.ErrFailedPrecondition)
}

// kill has the daemon end the worker, if it runs, and say how it ended. The streams
// are to be closed in any case.
func (c *isolated) kill(ctx context.Context) (reply hostapi.KillReply, s *streams, err error) {
	files, err := c.rt.host.Call(ctx, hostapi.MethodKill, &hostapi.KillRequest{Container: c.id}, &reply)
	if err == nil {
		s, err = takeStreams(reply.Roles, files)
	}
	if s == nil {
		s = &streams{}
	}
	return reply, s, err
}

// buryTimeout bounds how long the exit of a container whose worker is gone waits for
// a daemon that is not there, which alone knows why.
const buryTimeout = 2 * time.Second

// bury finds out why the worker is gone and tells a person.
func (c *isolated) bury() task.Exit {
	exit := task.Exit{Status: statusOOM, At: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), buryTimeout)
	defer cancel()
	reason := "how is unknown"
	reply, s, err := c.kill(ctx)
	defer s.close()
	switch {
	case err != nil:
		log.G(c.ctx).WithError(err).Warn("why the container's process is gone is unknown")
	default:
		reason = reply.Reason
		if reply.OOM {
			c.outOfMemory()
		}
	}
	text := fmt.Sprintf("blazar: the container's process %d ended: %s", c.pid.Load(), reason)
	log.G(c.ctx).Warn(text)
	tell(s.message, text+"\n")
	_, err = c.rt.host.Call(ctx, hostapi.MethodReport, &hostapi.ReportRequest{
		Container: c.id, Status: exit.Status, Message: text + "\n",
	}, nil)
	if err != nil {
		log.G(c.ctx).WithError(err).Warn("the reason of an exit is not in the pod's status")
	}
	return exit
}
