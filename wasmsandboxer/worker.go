package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/sandbox"
)

// worker makes a pod the process of one container: below the directory and the
// record of the pod that the container is in, and otherwise like any.
type worker struct {
	pod       *pod
	container string
	resources *specs.LinuxResources // nil for one that was found again
	// turn holds one token: who has it may start, stop or delete the worker.
	turn chan struct{}
}

// newWorker makes it; nothing of it is recorded or runs yet.
func newWorker(p *pod, container string, rec record, resources *specs.LinuxResources) *pod {
	r := *p.r
	r.Dir = filepath.Join(r.Dir, workersName, container)
	r.Save = func(ctx context.Context, private any) error {
		rec, ok := private.(record)
		if !ok {
			return fmt.Errorf("record of a worker is a %T: %w", private, errdefs.ErrInternal)
		}
		return p.saveWorker(ctx, container, &rec)
	}
	return newPod(p.s, &r, rec, &worker{pod: p, container: container, resources: resources, turn: make(chan struct{}, 1)})
}

// take waits for the turn.
func (w *worker) take(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("worker of container %s: another call is still going on: %w", w.container, ctx.Err())
	}
}

func (w *worker) leave() { <-w.turn }

// newGroup makes the worker's cgroup, a part of the pod's.
func (w *worker) newGroup(ctx context.Context, r *specs.LinuxResources) (*cgroup.Group, error) {
	w.pod.mu.Lock()
	g := w.pod.group
	w.pod.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("the pod has no cgroup: %w", errdefs.ErrFailedPrecondition)
	}
	return g.Part(ctx, w.container, r)
}

// findGroup finds it.
func (w *worker) findGroup() (*cgroup.Group, error) {
	w.pod.mu.Lock()
	g := w.pod.group
	w.pod.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("the pod has no cgroup: %w", errdefs.ErrNotFound)
	}
	return g.FindPart(w.container)
}

// container is the worker's, empty for a pod.
func (p *pod) container() string {
	if p.worker == nil {
		return ""
	}
	return p.worker.container
}

// cgroupName is for people.
func (p *pod) cgroupName() string {
	if p.worker == nil {
		return "the pod's memory cgroup"
	}
	return "the container's memory cgroup"
}

// saveWorker changes the record of one worker within the pod's; nil takes it out.
func (p *pod) saveWorker(ctx context.Context, container string, rec *record) error {
	select {
	case p.saving <- struct{}{}:
		defer func() { <-p.saving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	all := map[string]record{}
	for id, r := range p.record.Workers {
		all[id] = r
	}
	if delete(all, container); rec != nil {
		all[container] = *rec
	}
	p.record.Workers = all
	whole := p.record
	p.mu.Unlock()
	return p.r.Save(ctx, whole)
}

// run starts the worker and returns the other end of its Task API's only connection.
func (p *pod) run(ctx context.Context) (_ *sandbox.Started, task *os.File, err error) {
	if err := os.MkdirAll(p.r.Dir, 0o700); err != nil {
		return nil, nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	task = os.NewFile(uintptr(fds[0]), "worker")
	theirs := os.NewFile(uintptr(fds[1]), "tasks")
	p.chooseLibrary(ctx)
	started, err := p.start(ctx, theirs)
	_ = theirs.Close() // the worker has its own
	if err != nil {
		_ = task.Close() // never used
		return nil, nil, err
	}
	return started, task, nil
}

// erase ends the worker and takes all that it has, and its record.
func (p *pod) erase(ctx context.Context) error {
	if err := p.worker.take(ctx); err != nil {
		return err
	}
	defer p.worker.leave()
	owner := p.worker.pod
	if owner.workerOf(p.worker.container) != p {
		return nil // somebody else was faster
	}
	if err := p.Delete(ctx); err != nil {
		return fmt.Errorf("worker of container %s: %w", p.worker.container, err)
	}
	owner.mu.Lock()
	delete(owner.workers, p.worker.container)
	owner.mu.Unlock()
	err := errors.Join(os.RemoveAll(p.r.Dir), owner.saveWorker(ctx, p.worker.container, nil))
	if err != nil && !errdefs.IsNotFound(err) { // the pod is being deleted
		return err
	}
	owner.resize(ctx)
	return nil
}

// end kills the worker.
func (p *pod) end(ctx context.Context) error {
	if err := p.worker.take(ctx); err != nil {
		return err
	}
	defer p.worker.leave()
	return p.Stop(ctx)
}

// describe says what a person who debugs the pod wants to know of its worker.
func (p *pod) describeWorker() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string]any{"uid": p.record.UID, "root": p.path(rootName), "host_socket": p.socket(hostSocket), "reason": p.record.Why}
	if p.record.Process != nil {
		m["pid"] = p.record.Process.Pid
	}
	if p.group != nil {
		m["cgroup"] = p.group.Path()
	}
	if p.worker.resources != nil {
		m["limits"] = p.worker.resources
	}
	if p.exit != nil {
		m["exit"] = p.exit
	}
	return m
}
