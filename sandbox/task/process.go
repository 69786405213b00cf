package task

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"google.golang.org/protobuf/types/known/timestamppb"

	"blazar/sandbox/task/taskapi"
)

// Exit statuses that the server itself gives.
const (
	// statusStart is that of a process that could not be started.
	statusStart = 128
	// statusUnknown is that of a process whose exit the runtime could not tell, as
	// containerd's UnknownExitStatus.
	statusUnknown = 255
)

// phase is where a process is in its life.
type phase int

const (
	created phase = iota
	starting
	running
	stopped
	deleted
)

func (p phase) String() string {
	return [...]string{"created", "starting", "running", "stopped", "deleted"}[p]
}

// process is a Process and where it is in its life.
type process struct {
	container *container
	execID    string
	impl      Process
	stdio     Stdio
	// early: the process exists before Start, see Pider.
	early bool

	// turn holds a token while somebody starts, deletes, pauses or resumes.
	turn chan struct{}
	// done is closed once exit is set.
	done chan struct{}

	mu    sync.Mutex // guards the fields below, never held during a call to the runtime
	phase phase
	pid   uint32
	exit  Exit
	// While starting: settled is closed when Start has come back, stop makes it come
	// back, killed asks for the end of whatever it makes.
	settled chan struct{}
	stop    context.CancelFunc
	killed  bool
	// unwatch ends watch, once the process is deleted.
	unwatch context.CancelFunc
}

func newProcess(c *container, execID string, impl Process, stdio Stdio) *process {
	return &process{
		container: c,
		execID:    execID,
		impl:      impl,
		stdio:     stdio,
		turn:      make(chan struct{}, 1),
		done:      make(chan struct{}),
	}
}

// id is the id that events carry.
func (p *process) id() string {
	if p.execID == "" {
		return p.container.id
	}
	return p.execID
}

func (p *process) name() string { return p.container.name(p.execID) }

// refuse is the error of a call that the phase does not allow.
func (p *process) refuse(verb string, now phase) error {
	var kind error = errdefs.ErrFailedPrecondition
	if now == deleted {
		kind = errdefs.ErrNotFound
	}
	return fmt.Errorf("%s: cannot %s a %s process: %w", p.name(), verb, now, kind)
}

// take waits for the turn.
func (p *process) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: another call is still going on: %w", p.name(), ctx.Err())
	}
}

func (p *process) release() { <-p.turn }

func (p *process) now() (phase, uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase, p.pid
}

func (p *process) ended() bool {
	now, _ := p.now()
	return now >= stopped
}

// setExit records how the process ended, once. The caller holds p.mu.
func (p *process) setExit(e Exit) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	p.exit = e
	close(p.done)
}

// exited records the exit of a process that ran, and tells of it.
func (p *process) exited(e Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase >= stopped {
		return
	}
	p.phase = stopped
	p.setExit(e)
	p.container.server.events.push(p.container.id, topicExit, &taskapi.TaskExit{
		ContainerId: p.container.id,
		Id:          p.id(),
		Pid:         p.pid,
		ExitStatus:  p.exit.Status,
		ExitedAt:    timestamppb.New(p.exit.At),
	})
}

// watch waits for the exit of a process and records it. The caller holds p.mu, or
// is the only one to know p.
func (p *process) watch() {
	ctx, cancel := context.WithCancel(p.container.server.ctx)
	p.unwatch = cancel
	p.container.server.spawn(func(context.Context) {
		defer cancel()
		ctx := log.WithLogger(ctx, log.L.WithFields(log.Fields{"container_id": p.container.id, "exec_id": p.execID}))
		var exit Exit
		err := guard(ctx, "wait for "+p.name(), func() (err error) {
			exit, err = p.impl.Wait(ctx)
			return err
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.G(ctx).WithError(err).Error("the runtime cannot tell how the process ended")
			exit = Exit{Status: statusUnknown, At: time.Now()}
		}
		p.settle(ctx)
		if p.execID == "" {
			p.container.end(ctx)
		}
		p.exited(exit)
	})
}

// settle waits for a Start that is going on.
func (p *process) settle(ctx context.Context) {
	p.mu.Lock()
	settled := p.settled
	p.mu.Unlock()
	if settled == nil {
		return
	}
	select {
	case <-settled:
	case <-ctx.Done():
	}
}

// end kills the process and waits for its exit, as long as ctx lives.
func (p *process) end(ctx context.Context) {
	if now, _ := p.now(); now == created || now >= stopped {
		return
	}
	if err := p.kill(ctx, syscall.SIGKILL, false); err != nil && !errdefs.IsNotFound(err) {
		log.G(ctx).WithError(err).Warnf("%s outlives its container", p.name())
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		log.G(ctx).Warnf("%s outlives its container", p.name())
	}
}
