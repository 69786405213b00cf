package runctask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/internal/proc"
	"blazar/sandbox/task"
	"blazar/sandbox/task/stdio"
)

// lostReason is what is known of a process that ended while no task server lived.
const lostReason = "it ended while no task server was there to see how"

// Recover finds the containers of an earlier task server again and hands each to
// found. What that one was just making is removed; a container that containerd has
// given up meanwhile is left to Sweep.
func (r *Runtime) Recover(ctx context.Context, found func(task.Recovered) error) error {
	if err := clearDir(r.consoles()); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.records())
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(r.records(), e.Name())
		ctx := log.WithLogger(ctx, log.G(ctx).WithField("container_id", e.Name()))
		if err := r.recoverOne(ctx, dir, found); err != nil {
			log.G(ctx).WithError(err).Error("a container of an earlier task server is not served")
		}
	}
	return nil
}

func (r *Runtime) recoverOne(ctx context.Context, dir string, found func(task.Recovered) error) error {
	rec, err := load(dir)
	if errdefs.IsNotFound(err) { // it was just being made or removed
		return os.RemoveAll(dir)
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", dir, err)
	}
	c, err := r.container(*rec)
	if err != nil {
		return err
	}
	if rec.Phase == phaseMaking { // nobody knows of it; containerd is not kept waiting
		r.work.Go(func() {
			ctx, cancel := c.detach(ctx)
			defer cancel()
			if err := c.remove(ctx); err != nil {
				log.G(ctx).WithError(err).Error("a container that was being made is left")
			}
		})
		return nil
	}
	// What was just being started is a created one; Start and Delete remove what the
	// runtime may have made of it.
	if err := r.add(c); err != nil {
		return err
	}
	out := task.Recovered{ID: rec.ID, Bundle: rec.Bundle, Stdio: rec.Stdio, Container: c}
	if rec.Init != nil && rec.Phase == phaseRunning {
		out.Pid = uint32(rec.Init.Pid)
		var kept *os.File
		if k := r.config.Keeper; k != nil {
			kept = k.Take(rec.ID)
		}
		c.resume(ctx, *rec.Init, rec.Exit, kept)
		if err := c.oom.Follow(c.memoryDir()); err != nil && c.exit == nil {
			log.G(ctx).WithError(err).Warn("containerd will not be told if memory runs out")
		}
		c.paused = c.frozen()
		for id, e := range rec.Execs {
			p := c.added(id, e.Stdio, nil)
			p.resume(ctx, e.Ref, nil, nil)
			out.Execs = append(out.Execs, task.RecoveredExec{ID: id, Stdio: e.Stdio, Process: p, Pid: uint32(e.Ref.Pid)})
		}
	}
	return found(out)
}

// resume holds a process of an earlier task server again, or its exit; kept is a pidfd
// of it, if there is one.
func (p *process) resume(ctx context.Context, ref proc.Ref, exit *task.Exit, kept *os.File) {
	if exit != nil {
		p.exit = exit
		return
	}
	h, err := reopen(ref, kept)
	if err != nil {
		log.G(ctx).WithError(err).Warnf("%s: %s: 255 is reported", p.name, lostReason)
		e := unknownExit(time.Now())
		p.exit = &e
		return
	}
	p.handle = h
	if p.stdio.Stdin == "" || p.stdio.Terminal {
		return
	}
	in, err := stdio.OpenInput(p.stdio.Stdin, stdio.ForGo)
	if err == nil {
		p.input, err = in, in.File.Close()
	}
	if err != nil {
		log.G(ctx).WithError(err).Warnf("%s: its input ends when its writers go", p.name)
	}
}

// reopen holds a process by the pidfd that was kept, or else by its pid.
func reopen(ref proc.Ref, kept *os.File) (*proc.Handle, error) {
	if kept == nil {
		return proc.Open(ref)
	}
	fd, err := unix.FcntlInt(kept.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	err = errors.Join(err, kept.Close())
	if err != nil {
		return nil, err
	}
	return proc.Resume(ref, fd)
}

// clearDir removes what is in a directory.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
