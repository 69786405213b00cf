package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// systemdTimeout bounds the start of a scope, which has no context of its own.
const systemdTimeout = 10 * time.Second

// Join moves the calling thread into the group, on v1; what it forks is born
// there. The thread is to be destroyed afterwards. On v2, where processes move as
// a whole, and for scopes it does nothing: Dir and Adopt serve there.
func (g *Group) Join() error {
	if g.state.Scope != "" {
		return nil
	}
	if err := g.b.join(); err != nil {
		return fmt.Errorf("join cgroup %s: %w", g.state.Path, err)
	}
	return nil
}

// Dir is the group's directory on v2, for a process to be born in
// (CLONE_INTO_CGROUP); the caller closes it. It is nil, without an error, on v1
// and for scopes.
func (g *Group) Dir() (*os.File, error) {
	if g.host.mode != V2 || g.state.Scope != "" {
		return nil, nil
	}
	f, err := os.OpenFile(g.b.dirs()[0], unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", g.state.Path, err)
	}
	return f, nil
}

// Tasks are the files of the group, on v1, that a thread writes "0" to in order to move
// there itself, whoever it is: which is for processes that run already and have nobody
// else's privilege; the caller closes them. There are none on v2, where a process moves as
// a whole, and for scopes: Add and Adopt serve there.
func (g *Group) Tasks() (files []*os.File, err error) {
	if g.host.mode == V2 || g.state.Scope != "" {
		return nil, nil
	}
	for _, dir := range g.b.dirs() {
		f, err := openBlocking(filepath.Join(dir, "tasks"), unix.O_WRONLY)
		if err != nil {
			for _, f := range files {
				_ = f.Close() // nothing was written
			}
			return nil, fmt.Errorf("cgroup %s: %w", g.state.Path, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// Adopt makes a scope around a process that has just been born, moves it there
// and sets the limits. It does nothing for groups that are no scopes.
func (g *Group) Adopt(pid int) error {
	if g.state.Scope == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), systemdTimeout)
	defer cancel()
	slice := filepath.Base(filepath.Dir(g.state.Path))
	if slice == "/" {
		slice = "-.slice"
	}
	if err := g.host.scopes.start(ctx, g.state.Scope, slice, pid); err != nil {
		return fmt.Errorf("start systemd scope %s: %w", g.state.Scope, err)
	}
	g.mu.Lock()
	r := g.limits
	g.mu.Unlock()
	if err := g.b.create(r); err != nil {
		return fmt.Errorf("set up systemd scope %s: %w", g.state.Scope, err)
	}
	return g.Add(ctx, pid) // systemd moved it in its own hierarchies
}

// Add moves a running process with all of its threads into the group, which takes
// the kernel milliseconds.
func (g *Group) Add(ctx context.Context, pid int) error {
	if pid <= 0 {
		return fmt.Errorf("add process %d to cgroup %s: %w", pid, g.state.Path, errdefs.ErrInvalidArgument)
	}
	for _, dir := range g.b.dirs() {
		err := retry(ctx, unix.EINVAL, func() error { // while a thread is just being made
			return write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
		})
		if errors.Is(err, unix.ESRCH) {
			err = fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("add process %d to cgroup %s: %w", pid, g.state.Path, err)
		}
	}
	return nil
}

// retry calls fn until it no longer fails with the errno, for a second at most,
// after a millisecond, then two, and so on.
func retry(ctx context.Context, errno unix.Errno, fn func() error) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := fn()
		if !errors.Is(err, errno) || pause > 512*time.Millisecond {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}
