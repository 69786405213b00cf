package wasmtask

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/engines"
	"blazar/engines/wasip1"
	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
)

// processConfig is what a process is made of.
type processConfig struct {
	exec      string // the exec id, empty for the container's first process
	module    hostapi.Module
	args, env []string
	streams   *streams
	limit     uint64 // of the linear memory, in bytes, that the instance was made with
}

// process is one run of a module: a container's first or an exec.
type process struct {
	c        *container
	config   processConfig
	module   *module
	system   *wasip1.System
	instance engines.Instance
	terminal *terminal      // nil without one
	later    *laterPreopens // nil where the files are mounted from the start
	outlast  *outlast
	begin    func() error // asked before the guest is started
	ended    func()       // called once, after done was closed

	mu      sync.Mutex // guards the fields below
	started bool
	freed   bool
	signal  syscall.Signal // the first fatal one, 0 for none
	exit    task.Exit
	kills   sync.WaitGroup // calls of instance.Kill; none begins once freed is set

	done chan struct{} // closed when exit is valid
}

var (
	_ task.Process     = (*process)(nil)
	_ task.StdinCloser = (*process)(nil)
	_ task.Resizer     = (*process)(nil)
)

// newProcess owns p.streams from the start.
func newProcess(ctx context.Context, c *container, config processConfig) (_ *process, err error) {
	p := &process{c: c, config: config, begin: func() error { return nil }, ended: func() {}, done: make(chan struct{}), outlast: newOutlast(config.streams.ends)}
	defer func() {
		if err != nil {
			p.free()
		}
	}()
	if len(config.args) == 0 {
		return nil, fmt.Errorf("no command: %w", errdefs.ErrInvalidArgument)
	}
	p.module, err = c.rt.modules.acquire(ctx, config.module.Engine, config.module.Artifact)
	if err != nil {
		return nil, fmt.Errorf("load %s for engine %s: %w", config.module.Name, config.module.Engine, err)
	}
	if err := p.makeSystem(); err != nil {
		return nil, err
	}
	p.config.limit = c.limit.Load()
	p.instance, err = p.module.New(ctx, engines.Config{
		System: p.system, Entry: config.module.Entry, MemoryLimit: p.config.limit,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.module.Name, err)
	}
	return p, nil
}

// makeSystem makes the world that the guest sees.
func (p *process) makeSystem() error {
	preopens, err := p.openPreopens()
	if err != nil {
		return err
	}
	s := p.config.streams
	w := wasip1.Config{
		Args: p.config.args, Env: p.config.env, Preopens: preopens, Listeners: s.listeners,
		Stdin: s.stdin, Stdout: s.stdout, Stderr: s.stderr,
	}
	if s.tty != nil {
		w.Stdin, w.Stdout, w.Stderr = s.tty, s.tty, s.tty
		p.terminal = newTerminal(s, p.interrupt)
	}
	w.Env = append(w.Env[:len(w.Env):len(w.Env)], listenEnv(len(preopens), len(s.listeners))...)
	p.system, err = wasip1.New(w)
	if err != nil {
		closePreopens(preopens)
		return fmt.Errorf("guest's descriptors: %w", err)
	}
	return nil
}

// openPreopens opens the container's directories, or says how that is done later.
func (p *process) openPreopens() ([]wasip1.Preopen, error) {
	if !p.c.prepared.Later {
		return openPreopens(p.c.prepared.Rootfs, p.c.prepared.Preopens)
	}
	p.later = newLaterPreopens(p.c)
	return p.later.list(), nil
}

// Start runs the guest on a thread of its own.
func (p *process) Start(context.Context) (uint32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return 0, fmt.Errorf("started already: %w", errdefs.ErrFailedPrecondition)
	}
	if p.signal != 0 {
		return 0, fmt.Errorf("killed before it was started: %w", errdefs.ErrFailedPrecondition)
	}
	ready, proceed := make(chan error), make(chan struct{})
	defer close(proceed)
	go p.run(ready, proceed) // Wait and Delete wait for it, once started is set
	if err := <-ready; err != nil {
		return 0, err
	}
	if err := p.begin(); err != nil {
		return 0, err
	}
	p.started = true
	if p.terminal != nil {
		p.terminal.start()
	}
	return p.c.rt.hello.Pid, nil
}

// run is the life of the guest, on a thread that is held to the container's limits
// first; Start decides between ready and proceed. The goroutine ends locked, so that
// its thread ends with it: what the thread was held to holds nobody else.
func (p *process) run(ready chan<- error, proceed <-chan struct{}) {
	runtime.LockOSThread()
	leave := p.c.usage.enter(p.memory)
	err := p.c.threads.enter()
	ready <- err
	<-proceed
	if err != nil || !p.isStarted() {
		leave()
		return
	}
	exit := p.instance.Run()
	leave()
	status, lastWords := p.outcome(exit)
	go p.finish(status, lastWords) // at full speed, whatever the guest's limits; Wait and Delete wait for it
}

func (p *process) memory() uint64 {
	if m, ok := p.instance.(engines.MemoryReporter); ok {
		return m.MemoryBytes()
	}
	return 0
}

// finish records the exit after everything the guest held is closed and its output
// was handed on.
func (p *process) finish(status uint32, lastWords string) {
	s := p.config.streams
	if lastWords != "" {
		if s.tty != nil {
			tell(s.tty, lastWords)
		} else {
			tell(s.stderr, lastWords)
		}
		tell(s.message, lastWords)
	}
	if lastWords != "" {
		p.report(status, lastWords)
	}
	_ = p.system.Close() // listeners are free and readers of the output see its end
	if p.terminal != nil {
		p.terminal.drain()
	}
	s.close()
	p.outlast.await()
	p.outlast.begin()
	p.mu.Lock()
	p.exit = task.Exit{Status: status, At: time.Now()}
	p.mu.Unlock()
	close(p.done)
	p.ended()
}

// reportTimeout bounds how long an exit waits for a daemon that is not there.
const reportTimeout = 500 * time.Millisecond

// report tells the daemon what a person may ask it for. Whoever sees the exit finds
// the report too, if there is a daemon.
func (p *process) report(status uint32, message string) {
	ctx, cancel := context.WithTimeout(context.Background(), reportTimeout)
	defer cancel()
	_, err := p.c.rt.host.Call(ctx, hostapi.MethodReport, &hostapi.ReportRequest{
		Container: p.c.id, Exec: p.config.exec, Status: status, Message: message,
	}, nil)
	if err != nil {
		log.L.WithError(err).WithField("container_id", p.c.id).Warn("the reason of an exit is not in the pod's status")
	}
}

// Wait answers when the guest has ended.
func (p *process) Wait(ctx context.Context) (task.Exit, error) {
	select {
	case <-p.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.exit, nil
	case <-ctx.Done():
		return task.Exit{}, ctx.Err()
	}
}

// Delete frees the process, ending it first if that is still to be done.
func (p *process) Delete(ctx context.Context) error {
	p.mu.Lock()
	pending := p.started || p.signal != 0
	if p.started {
		p.kill()
	}
	p.mu.Unlock()
	if pending {
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.free()
	return nil
}

// kill asks the engine to end the guest, without waiting. p.mu is held.
func (p *process) kill() {
	if !p.freed {
		p.kills.Go(p.instance.Kill)
	}
}

// free releases what newProcess made, as far as it got; idempotent. Nothing of the
// guest runs.
func (p *process) free() {
	p.mu.Lock()
	p.freed = true
	p.mu.Unlock()
	p.kills.Wait()
	if p.instance != nil {
		_ = p.instance.Close()
	}
	if p.system != nil {
		_ = p.system.Close()
	}
	if p.later != nil {
		p.later.close()
	}
	p.config.streams.close()
	p.outlast.close()
	p.mu.Lock()
	m := p.module
	p.module = nil
	p.mu.Unlock()
	if m != nil {
		p.c.rt.modules.release(m)
	}
}

// CloseStdin ends the guest's input.
func (p *process) CloseStdin(context.Context) error {
	if p.terminal != nil {
		return p.terminal.endInput()
	}
	p.system.CloseStdin()
	return nil
}

// Resize sets the terminal's size.
func (p *process) Resize(_ context.Context, width, height uint32) error {
	if p.terminal == nil {
		return fmt.Errorf("process has no terminal: %w", errdefs.ErrFailedPrecondition)
	}
	return p.terminal.resize(width, height)
}
