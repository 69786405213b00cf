package runcsandboxer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox"
)

const (
	// stopTimeout bounds the wait for processes that were sent SIGKILL.
	stopTimeout = 20 * time.Second
	// askTimeout bounds a question to the task server.
	askTimeout = 10 * time.Second
)

// Stop ends every process of the pod. containerd has stopped its containers already,
// as a rule: what is left of them the task server ends, and what that cannot, because
// it does not run, is ended by the cgroups that it has noted.
func (p *pod) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopping = true
	h := p.reaper
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := p.endContainers(ctx); err != nil {
		return err
	}
	if h != nil {
		if err := p.endReaper(ctx, h); err != nil {
			return err
		}
	}
	// Where CRI has named a parent the group is the reaper's alone, else all is in it.
	if p.group != nil {
		if err := p.group.Kill(ctx); err != nil {
			return err
		}
	}
	p.finish(sandbox.Exit{At: time.Now()})
	return nil
}

// endReaper ends the reaper, and with it all that is in its pid namespace.
func (p *pod) endReaper(ctx context.Context, h *proc.Handle) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := h.Signal(unix.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop pod-reaper: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pod-reaper %d does not end: %w", h.Ref().Pid, ctx.Err())
	}
}

// endContainers ends the containers that there are notes of.
func (p *pod) endContainers(ctx context.Context) error {
	all, err := podfile.Containers(p.r.Dir)
	if err != nil {
		log.G(ctx).WithError(err).Warn("notes of a pod's containers")
	}
	if len(all) == 0 {
		return nil
	}
	if p.s.config.Tasks != nil {
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		err := p.s.config.Tasks.KillPod(ask, p.r.ID)
		cancel()
		if err != nil && !errdefs.IsNotFound(err) {
			log.G(ctx).WithError(err).Warn("the task server cannot end the containers of a pod: they are killed by their cgroups")
		}
	}
	return KillNoted(ctx, p.r.Dir, "")
}

// Delete ends what still runs and frees everything. What failed may be tried again.
func (p *pod) Delete(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	if err := p.release(); err != nil {
		return err
	}
	for _, name := range pinNames {
		if err := unmount(p.pin(name)); err != nil {
			return err
		}
	}
	if err := unmount(p.path(shmName)); err != nil {
		return err
	}
	if err := p.deleteGroups(ctx); err != nil {
		return err
	}
	for _, name := range []string{podfile.Name, podfile.Notes, etcName, nsName, shmName} {
		if err := os.RemoveAll(p.path(name)); err != nil {
			return err
		}
	}
	p.s.remove(p)
	return nil
}

// deleteGroups removes the pod's own group, and those of containers of which the task
// server has left notes.
func (p *pod) deleteGroups(ctx context.Context) error {
	all, err := podfile.Containers(p.r.Dir)
	if err != nil {
		log.G(ctx).WithError(err).Warn("notes of a pod's containers")
	}
	for _, c := range all {
		if g, err := cgroup.OfContainer(c.CgroupsPath); err == nil {
			if err := g.Delete(ctx); err != nil {
				return fmt.Errorf("container %s: %w", c.ID, err)
			}
		}
	}
	if p.group == nil {
		return nil
	}
	if err := p.group.Delete(ctx); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("cgroup of the pod: %w", err)
	}
	return nil
}

// unmount takes off whatever is mounted at a path, however often.
func unmount(path string) error {
	for range 64 {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return nil
		}
		if err != nil {
			return &os.PathError{Op: "unmount", Path: path, Err: err}
		}
	}
	return fmt.Errorf("unmount %s: mounts keep appearing: %w", path, errdefs.ErrInternal)
}
