package prockind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"

	"blazar/internal/proc"
	"blazar/sandbox"
)

// Kind is the name of the kind.
const Kind = "proc"

// Sandboxer makes pods that are processes.
type Sandboxer struct {
	mu   sync.Mutex // guards pods
	pods []*pod
}

var (
	_ sandbox.Sandboxer = (*Sandboxer)(nil)
	_ sandbox.Meter     = (*pod)(nil)
	_ sandbox.Describer = (*pod)(nil)
)

// private is what a pod records of itself.
type private struct {
	Process proc.Ref `json:"process"`
}

// Kind names the kind.
func (s *Sandboxer) Kind() string { return Kind }

// Create makes a pod.
func (s *Sandboxer) Create(ctx context.Context, r *sandbox.Request) (sandbox.Sandbox, error) {
	if err := r.Save(ctx, private{}); err != nil {
		return nil, err
	}
	return s.add(&pod{request: r, stopped: make(chan struct{})}), nil
}

// Recover makes a pod again.
func (s *Sandboxer) Recover(_ context.Context, r *sandbox.Request, saved json.RawMessage) (sandbox.Sandbox, error) {
	var p private
	if len(saved) > 0 {
		if err := json.Unmarshal(saved, &p); err != nil {
			return nil, err
		}
	}
	again := &pod{request: r, stopped: make(chan struct{})}
	if p.Process.Pid == 0 {
		return s.add(again), nil
	}
	handle, err := proc.Open(p.Process)
	switch {
	case errdefs.IsNotFound(err):
		again.exit = &sandbox.Exit{Status: 255, At: time.Now(), Reason: "ended while nobody looked"}
		close(again.stopped)
	case err != nil:
		return nil, err
	}
	again.handle = handle
	return s.add(again), nil
}

func (s *Sandboxer) add(p *pod) *pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = append(s.pods, p)
	return p
}

// Close lets go of the pods, which run on, as the end of a daemon would.
func (s *Sandboxer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, p := range s.pods {
		if h := p.running(); h != nil {
			err = errors.Join(err, h.Close())
		}
	}
	return err
}

// pod is one process.
type pod struct {
	request *sandbox.Request
	// stopped is closed when the pod was stopped without having been started.
	stopped chan struct{}

	mu     sync.Mutex // guards the fields below
	handle *proc.Handle
	exit   *sandbox.Exit
	orders bool // it was asked to stop
}

func (p *pod) running() *proc.Handle {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handle
}

func (p *pod) socket() string { return filepath.Join(p.request.Dir, "task.sock") }

// Start forks the pod's process, records it, and lets it begin.
func (p *pod) Start(ctx context.Context) (*sandbox.Started, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ours.Close() }() // the pod has closed its end
	if deadline, ok := ctx.Deadline(); ok {
		if err := ours.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = ours.Close() }) // ends the reads below
	defer stop()
	handle, err := p.fork(theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.handle = handle
	p.mu.Unlock()
	err = p.request.Save(ctx, private{Process: handle.Ref()})
	if err == nil {
		_, err = ours.Write([]byte{1})
	}
	if err == nil {
		_, err = ours.Read(make([]byte, 1))
	}
	if err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("start pod: %w", err), ctx.Err(), p.Stop(stopCtx))
	}
	return &sandbox.Started{
		Pid:       uint32(handle.Ref().Pid),
		Address:   "ttrpc+unix://" + p.socket(),
		CreatedAt: time.Now(),
		Labels:    map[string]string{"prockind": "yes"},
	}, nil
}

func (p *pod) fork(parent *os.File) (*proc.Handle, error) {
	pidfd := -1
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"prockind-pod"}
	cmd.Env = []string{podEnv + "=" + p.socket()}
	cmd.ExtraFiles = []*os.File{parent}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Setsid: true, PidFD: &pidfd}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	handle, err := proc.Adopt(pid, pidfd)
	return handle, errors.Join(err, cmd.Process.Release())
}

// Stop kills the process, and with it its pid namespace.
func (p *pod) Stop(ctx context.Context) error {
	p.mu.Lock()
	handle, first := p.handle, !p.orders && p.exit == nil
	p.orders = true
	if handle == nil && first {
		close(p.stopped)
	}
	p.mu.Unlock()
	if handle == nil {
		return nil
	}
	if err := handle.Signal(syscall.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	_, err := handle.Wait(ctx)
	return err
}

// Wait waits for the end of the process.
func (p *pod) Wait(ctx context.Context) (*sandbox.Exit, error) {
	handle := p.running()
	if handle == nil {
		select {
		case <-p.stopped:
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.exit != nil {
				return p.exit, nil
			}
			return &sandbox.Exit{At: time.Now()}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e, err := handle.Wait(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	exit := &sandbox.Exit{Status: e.Status, At: e.At}
	if !p.orders {
		exit.Reason = fmt.Sprintf("the pod's process ended by itself or was killed: %d", e.Status)
	}
	return exit, nil
}

// Delete frees the pod.
func (p *pod) Delete(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	if h := p.running(); h != nil {
		if err := h.Close(); err != nil {
			return err
		}
	}
	if err := os.Remove(p.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Metrics measures the process.
func (p *pod) Metrics(context.Context) (proto.Message, error) {
	h := p.running()
	if h == nil {
		return nil, fmt.Errorf("no process: %w", errdefs.ErrNotFound)
	}
	return metrics([]uint32{uint32(h.Ref().Pid)})
}

// Describe tells where the socket is.
func (p *pod) Describe(context.Context) map[string]any {
	return map[string]any{"engine": "none", "paths": map[string]string{"socket": p.socket()}}
}
