package runctask

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/log"
)

// How often containers are compared with their bundles: often at first, when
// containerd may just be giving up those of a task server before.
const (
	sweepFirst  = time.Second
	sweepSoon   = time.Minute
	sweepPeriod = 15 * time.Second
)

// Forgetter forgets a container in the task server, which deletes it.
type Forgetter func(ctx context.Context, id string) error

// Sweep removes, until ctx ends, what containerd has given up: the bundle of a
// container is its directory, which it removes when it has done with the container. It
// does so without a word to this process when it could not reach it.
func (r *Runtime) Sweep(ctx context.Context, forget Forgetter) {
	began := time.Now()
	for {
		pause := sweepPeriod
		if time.Since(began) < sweepSoon {
			pause = sweepFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		for _, c := range r.all() {
			r.sweepOne(ctx, c, forget)
		}
	}
}

func (r *Runtime) sweepOne(ctx context.Context, c *container, forget Forgetter) {
	if _, err := os.Lstat(c.record.Bundle); !errors.Is(err, os.ErrNotExist) || ctx.Err() != nil {
		return
	}
	// Not the directory of all bundles: then it is that which has gone, and pods are
	// the daemon's to compare with containerd.
	if _, err := os.Lstat(filepath.Dir(c.record.Bundle)); err != nil {
		return
	}
	ctx = log.WithLogger(ctx, log.G(ctx).WithField("container_id", c.record.ID))
	log.G(ctx).Warn("containerd has given the container up, it is removed")
	if err := c.Kill(ctx, syscall.SIGKILL, true); err != nil {
		log.G(ctx).WithError(err).Debug("it has ended")
	}
	if err := forget(ctx, c.record.ID); err != nil {
		log.G(ctx).WithError(err).Error("cannot remove a container that containerd has given up")
	}
}
