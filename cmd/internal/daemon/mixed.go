package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/config"
	"blazar/internal/mnt"
	"blazar/runcsandboxer"
	"blazar/runcsandboxer/podfile"
	"blazar/runcsandboxer/runctask/ctl"
	"blazar/sandbox/task"
	"blazar/wasmsandboxer"
	"blazar/wasmsandboxer/host"
)

// mixed runs the Linux containers of wasm pods: what the runc kind makes of a pod,
// and the task server of Linux containers.
type mixed struct {
	state string
	kind  *runcsandboxer.Sandboxer
	tasks ctl.Client

	mu    sync.Mutex // guards turns
	turns map[string]*turn
}

// turn is the right to change what the Linux containers of a pod have in common.
type turn struct {
	token chan struct{}
	users int
}

var _ wasmsandboxer.LinuxRunner = (*mixed)(nil)

func newMixed(cfg config.Config) (*mixed, error) {
	kind, err := newRuncKind(cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(cfg.State, runcsandboxer.MixedKind), 0o700); err != nil {
		return nil, err
	}
	return &mixed{state: cfg.State, kind: kind, tasks: ctl.Client{Path: ctl.Socket(cfg.State)}, turns: map[string]*turn{}}, nil
}

// take waits for the turn of a pod.
func (m *mixed) take(ctx context.Context, pod string) (leave func(), err error) {
	m.mu.Lock()
	t := m.turns[pod]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		m.turns[pod] = t
	}
	t.users++
	m.mu.Unlock()
	drop := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(m.turns, pod)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; drop() }, nil
	case <-ctx.Done():
		drop()
		return nil, fmt.Errorf("the Linux containers of pod %s: another call is still going on: %w", pod, ctx.Err())
	}
}

// Create has the container made, of what containerd says alone.
func (m *mixed) Create(ctx context.Context, p wasmsandboxer.LinuxPod, c host.LinuxContainer) (_ *os.File, err error) {
	leave, err := m.take(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	err = m.kind.JoinHalf(ctx, m.state, runcsandboxer.Whole{ID: p.ID, Config: p.Config, NetNS: p.NetNS, Process: p.Process, Group: p.Group})
	leave()
	if err != nil {
		return nil, err
	}
	err = m.tasks.Create(ctx, ctl.CreateRequest{
		ID: c.ID, Namespace: c.Namespace, Bundle: c.Bundle, Rootfs: taskMounts(c.Rootfs), FIFOs: []string{c.FIFOs},
		Stdio: task.Stdio{Stdin: c.Stdio.Stdin, Stdout: c.Stdio.Stdout, Stderr: c.Stdio.Stderr, Terminal: c.Stdio.Terminal},
	})
	if err != nil {
		return nil, err
	}
	f, err := m.connect(ctx, c.ID)
	if err != nil {
		return nil, errors.Join(err, m.Remove(context.WithoutCancel(ctx), p.ID, c.ID))
	}
	return f, nil
}

func (m *mixed) connect(ctx context.Context, container string) (*os.File, error) {
	conn, err := m.tasks.Connect(ctx, container)
	if err != nil {
		return nil, err
	}
	f, err := conn.File()
	return f, errors.Join(err, conn.Close()) // the file is another descriptor of it
}

func taskMounts(all []mnt.Mount) []task.Mount {
	out := make([]task.Mount, len(all))
	for i, m := range all {
		out[i] = task.Mount(m)
	}
	return out
}

// dir is where what belongs to a pod's Linux containers is.
func (m *mixed) dir(pod string) string { return podfile.Dir(m.state, runcsandboxer.MixedKind, pod) }

// Has says whether the task server has noted the container.
func (m *mixed) Has(pod, container string) bool { return podfile.Noted(m.dir(pod), container) }

// HasAny says whether the pod has a Linux half.
func (m *mixed) HasAny(pod string) bool {
	_, err := os.Stat(m.dir(pod))
	return err == nil
}

// Kill ends the container's processes, by its cgroup where the task server does not run.
func (m *mixed) Kill(ctx context.Context, pod, container string) error {
	return m.orByCgroup(ctx, pod, container, m.tasks.Kill(ctx, container))
}

// Update changes its limits.
func (m *mixed) Update(ctx context.Context, container string, r *specs.LinuxResources) error {
	return m.tasks.Update(ctx, container, r)
}

// Remove takes all that it has. Where the task server does not run its processes end,
// and the rest is taken by the next one.
func (m *mixed) Remove(ctx context.Context, pod, container string) error {
	return m.orByCgroup(ctx, pod, container, m.tasks.Remove(ctx, container))
}

func (m *mixed) orByCgroup(ctx context.Context, pod, container string, err error) error {
	if !errdefs.IsUnavailable(err) {
		return err
	}
	log.G(ctx).WithError(err).WithField("container_id", container).Warn("killing a Linux container by its cgroup")
	return runcsandboxer.KillNoted(ctx, m.dir(pod), container)
}

// EndPod ends every Linux process of a pod.
func (m *mixed) EndPod(ctx context.Context, pod string) error {
	leave, err := m.take(ctx, pod)
	if err != nil {
		return err
	}
	defer leave()
	return m.kind.EndHalf(ctx, m.state, pod)
}

// DeletePod frees what the pod's Linux containers had in common.
func (m *mixed) DeletePod(ctx context.Context, pod string) error {
	leave, err := m.take(ctx, pod)
	if err != nil {
		return err
	}
	defer leave()
	return m.kind.DeleteHalf(ctx, m.state, pod)
}
