package runctask

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"
	"github.com/containerd/log"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/runcsandboxer/podfile"
)

// killTimeout bounds the end of processes that were killed.
const killTimeout = 10 * time.Second

// scrap ends what runs of the container and has the runtime forget it; what the
// runtime does not do is done without it. Idempotent.
func (c *container) scrap(ctx context.Context) error {
	if err := c.killRest(ctx); err != nil {
		return err
	}
	state := filepath.Join(c.record.Root, c.record.ID)
	if _, err := os.Lstat(state); err == nil {
		err := c.call(ctx, "delete", func(ctx context.Context, r *runc.Runc) error { return r.Delete(ctx, c.record.ID, nil) })
		if err != nil {
			log.G(ctx).WithError(err).Warnf("%s: the runtime does not delete it, its state is removed without it", c.name)
			if err := os.RemoveAll(state); err != nil {
				return err
			}
		}
	}
	if c.group.Exists() {
		if err := c.group.Delete(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return c.removeGroups()
}

// removeGroups removes the groups that the runtime made in hierarchies that package
// cgroup has no use for: those of further controllers, and v2 beside v1.
func (c *container) removeGroups() error {
	if cgroup.HostMode() == cgroup.V2 {
		return nil
	}
	hierarchies, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range hierarchies {
		if !h.IsDir() {
			continue // a link to a hierarchy of several controllers
		}
		var all []string
		err := filepath.WalkDir(filepath.Join(cgroupRoot, h.Name(), c.record.CgroupDir), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				all = append(all, path)
			}
			return nil // gone
		})
		errs = append(errs, err)
		for _, path := range slices.Backward(all) {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// killRest ends the first process and everything in the container's cgroup.
func (c *container) killRest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	c.mu.Lock()
	paused := c.paused
	c.mu.Unlock()
	if h, err := c.held(); err == nil {
		_ = h.Signal(syscall.SIGKILL) // it has ended
	} else if err := c.killUnknown(ctx); err != nil {
		return err
	}
	if paused {
		if err := c.thaw(); err != nil {
			return err
		}
	}
	return c.group.Kill(ctx)
}

// killUnknown ends a first process whose pid the runtime wrote before it was killed,
// and which may not have got into its cgroup.
func (c *container) killUnknown(ctx context.Context) error {
	ref, err := readPid(c.pidFile())
	if errors.Is(err, os.ErrNotExist) || errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		log.G(ctx).WithError(err).Warnf("%s: the pid that its runtime wrote is lost", c.name)
		return nil
	}
	h, err := proc.Open(ref)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }() // its end is waited for
	// The file may be old: only a child, or what is in the container's group, is meant.
	if pids, err := c.group.Procs(); !isChild(ref.Pid) && (err != nil || !slices.Contains(pids, ref.Pid)) {
		return nil
	}
	if err := h.Signal(syscall.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	_, err = h.Wait(ctx)
	return err
}

// isChild says whether this process is the parent of another.
func isChild(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	var state string
	var parent int
	i := len(b) - 1
	for i >= 0 && b[i] != ')' { // the command's name may hold anything
		i--
	}
	if n, err := fmt.Sscan(string(b[i+1:]), &state, &parent); n != 2 || err != nil {
		return false
	}
	return parent == os.Getpid()
}

// remove frees everything that the container has. Idempotent.
func (c *container) remove(ctx context.Context) error {
	if err := c.scrap(ctx); err != nil {
		return err
	}
	if err := c.unmountRootfs(ctx); err != nil {
		return err
	}
	c.oom.End()
	if err := c.release(); err != nil {
		log.G(ctx).WithError(err).Warnf("%s is deleted", c.name)
	}
	link := filepath.Join(c.record.Bundle, linkName)
	if to, err := os.Readlink(link); err == nil && to == c.dir {
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if c.record.PodDir != "" {
		if err := podfile.Forget(c.record.PodDir, c.record.ID); err != nil {
			return err
		}
	}
	// Last: while there is a record, somebody comes back to do the rest.
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	c.rt.remove(c)
	return nil
}
