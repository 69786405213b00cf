package runctask

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/runcsandboxer/runctask/oom"
	"blazar/sandbox/task"
)

// endTimeout bounds the removal of what is left of a container.
const endTimeout = 30 * time.Second

// container is one container and its first process.
type container struct {
	process
	rt    *Runtime
	dir   string // of the record
	group *cgroup.Group
	oom   *oom.Group

	// Guarded by process.mu:
	record record
	paused bool
}

var (
	_ task.Container    = (*container)(nil)
	_ task.Meter        = (*container)(nil)
	_ task.Pidser       = (*container)(nil)
	_ task.Updater      = (*container)(nil)
	_ task.Pauser       = (*container)(nil)
	_ task.Checkpointer = (*container)(nil)
	_ task.OOMNotifier  = (*container)(nil)
	_ task.Resizer      = (*container)(nil)
	_ task.StdinCloser  = (*container)(nil)
)

// detach makes a context for work that must be done although its caller went away.
func (c *container) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
}

// Start has the runtime make the container and run its first process.
func (c *container) Start(ctx context.Context) (uint32, error) {
	if err := c.startOver(ctx); err != nil {
		return 0, err
	}
	if err := c.change(func(r *record) { r.Phase = phaseStarting }); err != nil {
		return 0, err
	}
	h, err := c.launch(ctx, c, c.pidFile(), c.run)
	if err == nil {
		ref := h.Ref()
		err = c.change(func(r *record) { r.Phase, r.Init = phaseRunning, &ref })
	}
	if err != nil {
		ctx, cancel := c.detach(ctx)
		defer cancel()
		err = errors.Join(err, c.scrap(ctx), c.change(func(r *record) { r.Phase, r.Init = phaseCreated, nil }))
		return 0, err
	}
	c.keep(ctx, h)
	if err := c.oom.Follow(c.memoryDir()); err != nil {
		log.G(ctx).WithError(err).Warn("containerd will not be told if memory runs out")
	}
	return uint32(h.Ref().Pid), nil
}

// startOver removes what an earlier task server left that was killed within Start.
func (c *container) startOver(ctx context.Context) error {
	c.mu.Lock()
	begun := c.record.Phase == phaseStarting
	c.mu.Unlock()
	if !begun {
		return nil
	}
	return c.scrap(ctx)
}

// keep has the exit known to the next task server, should it come before this one has
// seen it. The record's own name cannot occur twice.
func (c *container) keep(ctx context.Context, h *proc.Handle) {
	k := c.rt.config.Keeper
	if k == nil {
		return
	}
	raw, err := h.File().SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = k.Keep(c.record.ID, int(fd)) })
		err = errors.Join(err, cerr)
	}
	if err != nil {
		log.G(ctx).WithError(err).Warn("a restarted task server may not know how the container ends")
	}
}

func (c *container) pidFile() string { return filepath.Join(c.dir, pidName) }

// run calls the runtime. Afterwards the process is an orphan, and so ours.
func (c *container) run(ctx context.Context, io runc.IO, tty runc.ConsoleSocket) error {
	if c.record.Checkpoint != "" {
		return c.restore(ctx, io)
	}
	return c.call(ctx, "run", func(ctx context.Context, r *runc.Runc) error {
		_, err := r.Run(ctx, c.record.ID, c.record.Bundle, &runc.CreateOpts{
			IO: io, ConsoleSocket: tty, PidFile: c.pidFile(), Detach: true,
			NoPivot: c.record.NoPivot, NoNewKeyring: c.record.NoNewKeyring,
		})
		return err
	})
}

// Wait waits for the first process, ends what it leaves behind, and tells of it when
// nothing of the container runs any more.
func (c *container) Wait(ctx context.Context) (task.Exit, error) {
	e, err := c.ended(ctx)
	if err != nil {
		return e, err
	}
	c.mu.Lock()
	known := c.record.Exit != nil
	c.mu.Unlock()
	if known {
		c.oom.End()
		return c.settle(e), nil
	}
	if !c.record.OwnPids {
		kill, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		if err := c.group.Kill(kill); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).Warnf("%s has ended and left processes", c.name)
		}
	}
	c.oom.End()
	e = c.settle(e)
	if k := c.rt.config.Keeper; k != nil {
		if err := k.Drop(c.record.ID); err != nil {
			log.G(ctx).WithError(err).Warn("the service manager keeps a descriptor that is of no use any more")
		}
	}
	if err := c.change(func(r *record) { r.Exit = &e }); err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).Warn("a restarted task server would not know how the container ended")
	}
	return e, nil
}

// Kill sends a signal to the first process or to all.
func (c *container) Kill(ctx context.Context, s syscall.Signal, all bool) error {
	if _, err := c.held(); err == nil && all {
		if err := c.signalAll(s); err != nil {
			return err
		}
	}
	if err := c.signal(s); err != nil {
		return err
	}
	c.mu.Lock()
	paused := c.paused
	c.mu.Unlock()
	if s == syscall.SIGKILL && paused {
		return c.thaw()
	}
	return nil
}

// signalAll sends a signal to all processes but the first.
func (c *container) signalAll(s syscall.Signal) error {
	pids, err := c.group.Procs()
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := c.held()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if pid == h.Ref().Pid {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		// Whoever has the pid now must still be in the group.
		if again, err := c.group.Procs(); err == nil && slices.Contains(again, pid) {
			_ = unix.PidfdSendSignal(fd, s, nil, 0) // it has ended
		}
		_ = unix.Close(fd) // nothing was written
	}
	return nil
}

// Delete frees everything.
func (c *container) Delete(ctx context.Context) error {
	return c.remove(ctx)
}
