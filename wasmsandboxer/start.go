package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/confine"
	"blazar/internal/netns"
	"blazar/internal/proc"
	"blazar/sandbox"
	"blazar/wasmsandboxer/host"
	"blazar/wasmsandboxer/hostapi"
)

// Start makes the pod's root and cgroup and runs wasm-task in them.
func (p *pod) Start(ctx context.Context) (*sandbox.Started, error) {
	if p.process != nil || p.exit != nil {
		return nil, fmt.Errorf("wasm pod was started already: %w", errdefs.ErrFailedPrecondition)
	}
	tasks, err := listen("unix", p.socket(taskSocket))
	if err != nil {
		return nil, err
	}
	defer func() { _ = tasks.Close() }() // wasm-task has its own
	return p.start(ctx, tasks)
}

// start serves the Task API on tasks, a listener, or for a worker a connection.
func (p *pod) start(ctx context.Context, tasks *os.File) (_ *sandbox.Started, err error) {
	if err := p.makeRoot(); err != nil {
		return nil, err
	}
	p.chooseLibrary(ctx)
	if err := p.makeCgroup(ctx); err != nil {
		return nil, err
	}
	started := time.Now()
	task, err := p.spawn(ctx, tasks)
	if err != nil {
		return nil, err
	}
	h := task.Handle()
	defer func() {
		if err != nil {
			err = errors.Join(err, p.abandon(h), task.Close())
		}
	}()
	ref := task.Ref()
	p.mu.Lock()
	p.record.Process = &ref
	rec := p.record
	p.mu.Unlock()
	if err := p.r.Save(ctx, rec); err != nil {
		return nil, err
	}
	// Until now wasm-task waits, and ends with the connection should the daemon die.
	err = hostapi.SendHello(task.Control, hostapi.Hello{
		Sandbox: p.r.ID, Namespace: p.r.Namespace, Container: p.container(), Pid: uint32(task.Pid),
		CgroupV2: p.group.Mode() == cgroup.V2, LogLevel: p.s.config.LogLevel,
	})
	if err != nil {
		return nil, fmt.Errorf("wasm-task: %w", err)
	}
	p.adopt(h, task.Control)
	return &sandbox.Started{
		Pid: uint32(task.Pid), Address: "ttrpc+unix://" + p.socket(taskSocket), CreatedAt: started,
	}, nil
}

// abandon ends a process whose pod could not be started.
func (p *pod) abandon(h *proc.Handle) error {
	if err := h.Signal(unix.SIGKILL); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_, err := h.Wait(ctx)
	return err
}

// cgroupParent is the one that CRI names, or the configured one.
func (p *pod) cgroupParent() string {
	if parent := p.r.Config.GetLinux().GetCgroupParent(); parent != "" {
		return parent
	}
	return p.s.config.CgroupParent
}

// newGroup makes the cgroup.
func (p *pod) newGroup(ctx context.Context, r *specs.LinuxResources) (*cgroup.Group, error) {
	if p.worker != nil {
		return p.worker.newGroup(ctx, r)
	}
	return cgroup.Create(ctx, p.cgroupParent(), p.r.ID, r)
}

// makeCgroup makes the cgroup and records it.
func (p *pod) makeCgroup(ctx context.Context) error {
	p.mu.Lock()
	limits := p.resources()
	p.mu.Unlock()
	g, err := p.newGroup(ctx, limits)
	if err != nil {
		return fmt.Errorf("%s: %w", p.cgroupName(), err)
	}
	state := g.State()
	p.mu.Lock()
	p.group = g
	p.record.Cgroup = &state
	rec := p.record
	p.mu.Unlock()
	return p.r.Save(ctx, rec)
}

// spawn starts wasm-task confined.
func (p *pod) spawn(ctx context.Context, tasks *os.File) (*confine.Process, error) {
	program, err := p.s.program(p.record.WasmEdge)
	if err != nil {
		return nil, err
	}
	c := confine.Config{
		Binary: program.Path, Args: program.Args, Env: append(program.Env, "GOMAXPROCS="+maxProcs()),
		Root: p.path(rootName), UID: p.record.UID, GID: p.record.UID,
		Hostname: p.hostname(), Filter: p.s.filter,
		Join: p.group.Join, Adopt: p.group.Adopt,
	}
	var open []*os.File
	defer func() {
		for _, f := range open {
			_ = f.Close() // the process has its own
		}
	}()
	if p.r.NetNS != "" {
		ns, err := netns.Open(p.r.NetNS)
		if err != nil {
			return nil, err
		}
		open, c.NetNS = append(open, ns), ns
	}
	dir, err := p.group.Dir()
	if err != nil {
		return nil, err
	}
	if dir != nil {
		open, c.CgroupFD = append(open, dir), dir
	}
	daemons, err := listen("unixpacket", p.socket(hostSocket))
	if err != nil {
		return nil, err
	}
	open, c.Files = append(open, daemons), []*os.File{tasks, daemons}
	if c.Stderr, err = makeFIFO(p.path(stderrName)); err != nil {
		return nil, err
	}
	open = append(open, c.Stderr)
	return confine.Start(ctx, c)
}

// listen makes a unix socket that wasm-task will serve.
func listen(network, path string) (*os.File, error) {
	const longest = 107 // sun_path of unix(7), without the final zero
	if len(path) > longest {
		return nil, fmt.Errorf("socket path %s has %d bytes, at most %d are possible: choose a shorter state directory: %w",
			path, len(path), longest, errdefs.ErrInvalidArgument)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = l.Close() }() // the file is another descriptor of it
	return l.File()
}

// makeFIFO makes the FIFO for what wasm-task says. It is open for reading too on
// the writing side, so that a daemon may come and go; and non-blocking, so that
// nobody waits for a daemon that is gone.
func makeFIFO(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make FIFO %s: %w", path, err)
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

// adopt follows a running wasm-task: its end, what it says, what it asks. conn is
// the connection it was born with, nil to connect to it.
func (p *pod) adopt(h *proc.Handle, conn *net.UnixConn) {
	about := host.Pod{
		ID: p.r.ID, Namespace: p.r.Namespace, Root: p.path(rootName), Scratch: p.path(scratchName), Notes: p.path(notesName),
		UID: p.record.UID, NetNS: p.r.NetNS, Group: p.group, Annotations: p.r.Annotations, WasmEdge: p.record.WasmEdge,
		RuntimeHandler: p.r.RuntimeHandler, Config: p.r.Config, MemoryOverhead: p.s.config.MemoryOverhead,
	}
	if p.worker != nil {
		about.Container, about.Parent = p.worker.container, p.worker.pod.hostService()
	} else {
		about.Workers = workers{p}
	}
	service := host.New(p.s.config.Node, about)
	p.mu.Lock()
	p.process, p.service = h, service
	if conn != nil {
		p.control = conn
	}
	p.mu.Unlock()
	p.work.Go(func() { p.serve(service, conn) })
	p.work.Go(p.listenStderr)
	p.work.Go(p.watchOOM)
	p.work.Go(func() { p.watch(h) })
}

// The delay between attempts to reach a wasm-task that lives grows with every
// connection that does not last for the longest one.
const (
	reconnectFirst = time.Second
	reconnectMost  = 30 * time.Second
)

// serve answers wasm-task until it ends. A connection that was lost while it lives
// is made again.
func (p *pod) serve(service *host.Service, conn *net.UnixConn) {
	for delay := reconnectFirst; p.ctx.Err() == nil; delay = min(2*delay, reconnectMost) {
		began := time.Now()
		if conn == nil {
			c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: p.socket(hostSocket), Net: "unixpacket"})
			if err != nil && !errors.Is(err, unix.ECONNREFUSED) { // it has just ended
				log.G(p.ctx).WithError(err).Warn("cannot connect to wasm-task")
			}
			conn = c
		}
		if conn != nil {
			if err := hostapi.Serve(p.ctx, conn, service); err != nil && p.ctx.Err() == nil {
				log.G(p.ctx).WithError(err).Warn("connection of wasm-task")
			}
			conn = nil
		}
		if time.Since(began) > reconnectMost {
			delay = reconnectFirst
		}
		select {
		case <-p.ctx.Done():
		case <-time.After(delay):
		}
	}
}
