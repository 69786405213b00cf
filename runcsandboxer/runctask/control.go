package runctask

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
)

// Pause freezes the container.
func (c *container) Pause(ctx context.Context) error {
	c.setPaused(true) // a kill meanwhile has to thaw
	err := c.call(ctx, "pause", func(ctx context.Context, r *runc.Runc) error { return r.Pause(ctx, c.record.ID) })
	if err != nil {
		// What a runtime did that did not come back is undone.
		err = errors.Join(err, c.thaw())
		c.setPaused(false)
	}
	return err
}

// Resume thaws the container.
func (c *container) Resume(ctx context.Context) error {
	err := c.call(ctx, "resume", func(ctx context.Context, r *runc.Runc) error { return r.Resume(ctx, c.record.ID) })
	if err == nil {
		c.setPaused(false)
	}
	return err
}

func (c *container) setPaused(p bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = p
}

// Update changes limits.
func (c *container) Update(ctx context.Context, l *specs.LinuxResources, _ map[string]string) error {
	if _, err := c.held(); err != nil {
		return err
	}
	return c.call(ctx, "update", func(ctx context.Context, r *runc.Runc) error { return r.Update(ctx, c.record.ID, l) })
}

// needsCriu refuses what needs criu on a host without it.
func needsCriu() error {
	if _, err := exec.LookPath("criu"); err != nil {
		return fmt.Errorf("checkpoint and restore need criu: %w: install it: %w", err, errdefs.ErrNotImplemented)
	}
	return nil
}

// Checkpoint writes the container's state to a directory.
func (c *container) Checkpoint(ctx context.Context, path string, options *anypb.Any) error {
	if err := needsCriu(); err != nil {
		return err
	}
	o, err := decodeCheckpoint(options)
	if err != nil {
		return err
	}
	if path == "" {
		path = o.GetImagePath()
	}
	work := o.GetWorkPath()
	if work == "" {
		work = c.dir
	}
	var actions []runc.CheckpointAction
	if !o.GetExit() {
		actions = append(actions, runc.LeaveRunning)
	}
	return c.call(ctx, "checkpoint", func(ctx context.Context, r *runc.Runc) error {
		return r.Checkpoint(ctx, c.record.ID, &runc.CheckpointOpts{
			WorkDir: work, ImagePath: path, ParentPath: o.GetParentPath(),
			AllowOpenTCP: o.GetOpenTcp(), AllowExternalUnixSockets: o.GetExternalUnixSockets(),
			AllowTerminal: o.GetTerminal(), FileLocks: o.GetFileLocks(), EmptyNamespaces: o.GetEmptyNamespaces(),
			Cgroups: runc.CgroupMode(o.GetCgroupsMode()),
		}, actions...)
	})
}

// restore runs the container from a checkpoint.
func (c *container) restore(ctx context.Context, io runc.IO) error {
	if err := needsCriu(); err != nil {
		return err
	}
	work := c.record.CriuWork
	if work == "" {
		work = c.dir
	}
	return c.call(ctx, "restore", func(ctx context.Context, r *runc.Runc) error {
		_, err := r.Restore(ctx, c.record.ID, c.record.Bundle, &runc.RestoreOpts{
			CheckpointOpts: runc.CheckpointOpts{ImagePath: c.record.Checkpoint, WorkDir: work},
			IO:             io, PidFile: c.pidFile(), Detach: true, NoSubreaper: true, NoPivot: c.record.NoPivot,
		})
		return err
	})
}
