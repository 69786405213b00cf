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
	p.mu.Lock()
	t := p.task
	p.task = nil
	p.mu.Unlock()
	if t != nil {
		started, err := p.handOver(ctx, t)
		if err == nil || !errors.Is(err, errUnusable) {
			return started, err
		}
		log.G(p.ctx).WithError(err).Warn("starting a wasm-task in place of the one that was prepared")
		p.mu.Lock()
		p.record.Cold = "the prepared one could not be used: " + err.Error()
		p.mu.Unlock()
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
	if err := p.endGround(ctx); err != nil {
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
			err = errors.Join(err, p.s.kill(h), task.Close())
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
	if err := hostapi.SendHello(task.Control, p.hello(task)); err != nil {
		return nil, fmt.Errorf("wasm-task: %w", err)
	}
	p.adopt(h, task.Control)
	return p.started(task, started), nil
}

// hello tells wasm-task what it cannot know itself.
func (p *pod) hello(task *confine.Process) hostapi.Hello {
	return hostapi.Hello{
		Sandbox: p.r.ID, Namespace: p.r.Namespace, Container: p.container(), Pid: uint32(task.Pid),
		CgroupV2: p.group.Mode() == cgroup.V2, LogLevel: p.s.config.LogLevel,
	}
}

func (p *pod) started(task *confine.Process, at time.Time) *sandbox.Started {
	return &sandbox.Started{Pid: uint32(task.Pid), Address: "ttrpc+unix://" + p.socket(taskSocket), CreatedAt: at}
}

// kill ends a process and waits for its end.
func (s *Sandboxer) kill(h *proc.Handle) error {
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

// findGroup finds the cgroup that newGroup made.
func (p *pod) findGroup() (*cgroup.Group, error) {
	if p.worker != nil {
		return p.worker.findGroup()
	}
	return cgroup.Find(p.cgroupParent(), p.r.ID)
}

// makeCgroup makes the cgroup. It is recorded with the process; until then its name tells
// which it is.
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
	p.mu.Unlock()
	return nil
}

// spawn starts wasm-task confined.
func (p *pod) spawn(ctx context.Context, tasks *os.File) (*confine.Process, error) {
	program, err := p.s.program(p.record.WasmEdge)
	if err != nil {
		return nil, err
	}
	b := birth{
		program: program, root: p.path(rootName), daemons: p.socket(hostSocket), stderr: p.path(stderrName),
		uid: p.record.UID, hostname: p.hostname(), group: p.group, tasks: tasks,
	}
	if p.r.NetNS != "" {
		if b.netns, err = netns.Open(p.r.NetNS); err != nil {
			return nil, err
		}
		defer func() { _ = b.netns.Close() }() // the process has its own
	}
	return p.s.spawn(ctx, b)
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
		about.Workers, about.Linux = workers{p}, p.hostLinux()
	}
	if p.settled != nil {
		about.Settled = p.isSettled
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
	h.Then(p.hasEnded)
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
