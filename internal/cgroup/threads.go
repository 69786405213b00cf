package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Threads is a group of some threads of a pod's processes, below the pod's group:
// it limits and counts CPU alone, everything else stays the pod's. On v1 it is a
// group of the cpu hierarchy (and of cpuset's, where CPUs are chosen), on v2 a
// threaded one (the kernel's admin-guide/cgroup-v2.rst, "Threads"), which makes the
// pod's group a threaded domain: no further processes' groups can be below it.
//
// It is known by its name alone and thus found again by whoever asks for it. A
// thread enters by writing "0" to each of Files. Group.Delete deletes it too. Safe
// for concurrent use, but for Set of the same name.
type Threads struct {
	group *Group
	b     threadsBackend
}

// threadsBackend is a version of cgroups.
type threadsBackend interface {
	// dirs are where the group is or may be, the one of the cpu controller first.
	dirs() []string
	// file is what a thread's id is written to, in each of them.
	file() string
	// set makes what is missing and sets limits, those that c leaves out stay.
	set(c *specs.LinuxCPU) error
	// lift takes the quota away.
	lift() error
	// limits are those in force.
	limits() string
}

// Threads is the group of that name; nothing is made yet.
func (g *Group) Threads(name string) (*Threads, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	// No file of the kernel's is named like this.
	return &Threads{group: g, b: g.b.threads("container-" + name)}, nil
}

// Set makes the group, unless it is there, and sets limits; those that c leaves out
// stay. A quota is enforced in short periods, see shortPeriod. One that the pod's
// own limit is below of is left to that one, where the kernel wants it so (v1).
// errdefs.ErrNotImplemented, with the reason, where the host cannot limit threads,
// errdefs.ErrNotFound without a pod's group.
func (t *Threads) Set(c *specs.LinuxCPU) error {
	if c == nil {
		c = &specs.LinuxCPU{}
	}
	if err := t.b.set(c); err != nil {
		return fmt.Errorf("CPU limits of threads in cgroup %s: %w", t.group.state.Path, err)
	}
	return nil
}

// Files are opened for writing; the caller closes them. errdefs.ErrNotFound if the
// group is not there.
func (t *Threads) Files() ([]*os.File, error) {
	var files []*os.File
	for _, dir := range t.b.dirs() {
		f, err := openBlocking(filepath.Join(dir, t.b.file()), unix.O_WRONLY)
		if ignoreGone(err) != nil {
			for _, f := range files {
				_ = f.Close() // not written to
			}
			return nil, fmt.Errorf("group of threads in cgroup %s: %w", t.group.state.Path, err)
		}
		if err == nil {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("group of threads %s: %w", t.b.dirs()[0], errdefs.ErrNotFound)
	}
	return files, nil
}

// Stat is the file that tells how often the quota held threads up, cpu.stat, opened
// for reading; the caller closes it.
func (t *Threads) Stat() (*os.File, error) {
	f, err := openBlocking(filepath.Join(t.b.dirs()[0], "cpu.stat"), unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("statistics of threads in cgroup %s: %w", t.group.state.Path, err)
	}
	return f, nil
}

// openBlocking keeps a file out of Go's poller: it is handed on, and files of a
// cgroup never make anybody wait.
func openBlocking(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Describe is for people: the group and its limits, as they are in force.
func (t *Threads) Describe() string {
	return fmt.Sprintf("%s in cgroup %s", t.b.limits(), filepath.Join(t.group.state.Path, filepath.Base(t.b.dirs()[0])))
}

// Delete removes the group; its threads have ended, or are about to. Idempotent.
func (t *Threads) Delete(ctx context.Context) error {
	// What is about to end and waits for its next period should not be waited for.
	_ = t.b.lift() // or is waited for, or gone
	var errs []error
	for _, dir := range t.b.dirs() {
		errs = append(errs, removeTree(ctx, dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete group of threads: %w", err)
	}
	return nil
}

// lacking is the error of a host without a controller.
func lacking(controller string) error {
	return fmt.Errorf("the host has no %s controller for it: %w", controller, errdefs.ErrNotImplemented)
}
