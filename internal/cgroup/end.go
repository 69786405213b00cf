package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Procs lists the processes in the group and in groups below it, never this
// process itself, a thread of which may just be joining. errdefs.ErrNotFound when
// the group is gone.
func (g *Group) Procs() ([]int, error) {
	var out []int
	found := false
	for _, dir := range g.b.dirs() {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return ignoreGone(err)
			}
			found = true
			b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			if errors.Is(err, unix.EOPNOTSUPP) { // a threaded group of v2: its domain lists them
				return nil
			}
			if err != nil {
				return ignoreGone(err)
			}
			for _, s := range strings.Fields(string(b)) {
				// A process of another pid namespace is listed as 0.
				if pid, err := strconv.Atoi(s); err == nil && pid > 0 && pid != os.Getpid() {
					out = append(out, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("processes of cgroup %s: %w", g.state.Path, err)
		}
	}
	if !found {
		return nil, fmt.Errorf("cgroup %s: %w", g.state.Path, errdefs.ErrNotFound)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Kill ends every process of the group and returns when none is left, or the
// context ends. A group that is gone has none.
func (g *Group) Kill(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		pids, err := g.Procs()
		if errdefs.IsNotFound(err) || err == nil && len(pids) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		g.killOnce(pids)
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of cgroup %s do not end: %w", pids, g.state.Path, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// killOnce sends the signals; those that did not help are sent again.
func (g *Group) killOnce(pids []int) {
	if g.host.mode == V2 && write(filepath.Join(g.b.dirs()[0], "cgroup.kill"), "1") == nil { // Linux 5.14
		return
	}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		// Whoever has the pid now must still be in the group.
		if again, err := g.Procs(); err == nil && slices.Contains(again, pid) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it has ended
		}
		_ = unix.Close(fd) // nothing was written
	}
}

// Delete removes the group, groups below it, and the parents that Create made, as
// far as they are empty. errdefs.ErrFailedPrecondition while there are processes
// in it. Idempotent.
func (g *Group) Delete(ctx context.Context) error {
	g.mu.Lock()
	if !g.stopped {
		g.stopped = true
		close(g.stop)
	}
	g.mu.Unlock()
	g.watchers.Wait()

	var errs []error
	if g.state.Scope != "" && g.host.scopes != nil {
		if err := g.host.scopes.stop(ctx, g.state.Scope); err != nil {
			errs = append(errs, fmt.Errorf("stop systemd scope %s: %w", g.state.Scope, err))
		}
	}
	for _, dir := range g.b.dirs() {
		if err := removeTree(ctx, dir); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		if pids, err := g.Procs(); err == nil && len(pids) > 0 {
			errs = append(errs, fmt.Errorf("it holds processes %v: %w", pids, errdefs.ErrFailedPrecondition))
		}
		return fmt.Errorf("delete cgroup %s: %w", g.state.Path, errors.Join(errs...))
	}
	for _, dir := range slices.Backward(g.state.Made) {
		if g.owns(dir) {
			_ = unix.Rmdir(dir) // somebody else is in it, or it is gone
		}
	}
	return nil
}

// owns checks what a record on disk says: only parents of the group are removed.
func (g *Group) owns(dir string) bool {
	return slices.ContainsFunc(g.b.dirs(), func(d string) bool {
		root := strings.TrimSuffix(d, g.state.Path)
		return strings.HasPrefix(d, dir+"/") && len(dir) > len(root)
	})
}

// removeTree removes a group and those below it. A group is busy for a moment
// after its last thread has ended.
func removeTree(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignoreGone(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(ctx, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	err = retry(ctx, unix.EBUSY, func() error { return unix.Rmdir(dir) })
	if ignoreGone(err) == nil {
		return nil
	}
	return &os.PathError{Op: "rmdir", Path: dir, Err: err}
}

// ignoreGone drops errors that mean that something is not there any more.
func ignoreGone(err error) error {
	// ENOTDIR: below a file there is no group either, whoever asked for one there.
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return err
}
