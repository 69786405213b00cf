package wasmtask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// cleanupTimeout bounds what goes on after a request failed or ended.
const cleanupTimeout = 10 * time.Second

var errNoCheckpoint = fmt.Errorf("a wasm guest cannot be checkpointed: %w", errdefs.ErrNotImplemented)

// container is a guest with everything that its first process and its execs share.
type container struct {
	*process
	rt       *Runtime
	id       string
	prepared *hostapi.PrepareReply
	limit    atomic.Uint64 // of the linear memory, in bytes
	usage    *usage
	threads  *threads
	oom      chan struct{}
	updating chan struct{} // holds one token: who has it may change limits

	deleted bool // guarded by updating

	mu    sync.Mutex // guards the fields below
	over  bool       // the first process has ended, oom is closed
	execs map[*process]struct{}

	ooms atomic.Uint64 // guests that ended over the limit
}

var (
	_ task.Container   = (*container)(nil)
	_ task.Meter       = (*container)(nil)
	_ task.Pidser      = (*container)(nil)
	_ task.Updater     = (*container)(nil)
	_ task.OOMNotifier = (*container)(nil)
)

func newContainer(r *Runtime, id string, p *hostapi.PrepareReply) *container {
	c := &container{
		rt: r, id: id, prepared: p, usage: newUsage(), threads: &threads{},
		oom: make(chan struct{}, 1), updating: make(chan struct{}, 1), execs: map[*process]struct{}{},
	}
	c.limit.Store(p.MemoryLimit)
	return c
}

// init makes the container's first process; files are what came with the reply.
func (c *container) init(ctx context.Context, files []*os.File) error {
	s, err := takeStreams(c.prepared.Roles, files)
	if err != nil {
		return err
	}
	c.threads.replace(s.threads)
	s.threads = threadFiles{}
	c.process, err = newProcess(ctx, c, processConfig{
		module: c.prepared.Module, args: c.prepared.Args, env: c.prepared.Env, streams: s,
	})
	if err != nil {
		c.threads.replace(threadFiles{})
		return err
	}
	c.ended = c.end
	return nil
}

// end follows the end of the first process: what runs beside it ends too, as if
// it were the init of a pid namespace.
func (c *container) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	close(c.oom)
	for x := range c.execs {
		x.interrupt(syscall.SIGKILL)
	}
}

// addExec is asked before x is started.
func (c *container) addExec(x *process) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return fmt.Errorf("container %s is not running: %w", c.id, errdefs.ErrFailedPrecondition)
	}
	// The limit may be another one than when x was made.
	if limit := c.limit.Load(); limit != x.config.limit {
		if err := setMemoryLimit(x, limit); err != nil {
			return err
		}
	}
	c.execs[x] = struct{}{}
	return nil
}

// removeExec follows the end of x.
func (c *container) removeExec(x *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.execs, x)
}

// Exec prepares one more process: another module or export with the container's
// files.
func (c *container) Exec(ctx context.Context, q *task.ExecRequest) (task.Process, error) {
	if q.Process == nil || len(q.Process.Args) == 0 {
		return nil, fmt.Errorf("exec %s names no command: %w", q.ID, errdefs.ErrInvalidArgument)
	}
	select {
	case <-c.done:
		return nil, fmt.Errorf("container %s is not running: %w", c.id, errdefs.ErrFailedPrecondition)
	default:
	}
	var p hostapi.ExecReply
	files, err := c.rt.host.Call(ctx, hostapi.MethodExec, &hostapi.ExecRequest{
		Container: c.id, Exec: q.ID, Stdio: stdio(q.Stdio), Command: q.Process.Args[0], Cwd: q.Process.Cwd, SearchPath: lookup(q.Process.Env, "PATH"),
	}, &p)
	if err != nil {
		return nil, fmt.Errorf("exec %s: %w", q.ID, err)
	}
	s, err := takeStreams(p.Roles, files)
	if err != nil {
		return nil, fmt.Errorf("exec %s: %w", q.ID, err)
	}
	x, err := newProcess(ctx, c, processConfig{
		exec: q.ID, module: p.Module, args: q.Process.Args, env: withCwd(q.Process.Env, q.Process.Cwd), streams: s,
	})
	if err != nil {
		return nil, fmt.Errorf("exec %s: %w", q.ID, err)
	}
	x.begin = func() error { return c.addExec(x) }
	x.ended = func() { c.removeExec(x) }
	return x, nil
}

// Delete frees the container, its guest and its files.
func (c *container) Delete(ctx context.Context) error {
	if err := c.process.Delete(ctx); err != nil {
		return err
	}
	release, err := c.changing(ctx)
	if err != nil {
		return err
	}
	defer release()
	c.deleted = true // an update would make again what is taken away now
	c.threads.replace(threadFiles{})
	_, err = c.rt.host.Call(ctx, hostapi.MethodRemove, &hostapi.RemoveRequest{Container: c.id}, nil)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	return err
}

// Pids is the one process on the host that all containers of the pod live in.
func (c *container) Pids(context.Context) ([]uint32, error) {
	return []uint32{c.rt.hello.Pid}, nil
}

// OOM yields when the guest ended over its memory limit.
func (c *container) OOM() <-chan struct{} { return c.oom }

// withCwd tells the guest its working directory the only way preview 1 has: the
// variable that Go's runtime and others read.
func withCwd(env []string, cwd string) []string {
	if cwd == "" || cwd == "/" {
		return env
	}
	if lookup(env, "PWD") != "" {
		return env
	}
	return append(env[:len(env):len(env)], "PWD="+cwd)
}

// lookup is the value of a variable, the last one as getenv of most libcs has it.
func lookup(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}
