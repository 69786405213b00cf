package wasmtask

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"blazar/sandbox/task"
	"blazar/sandbox/task/taskapi"
)

// isolatedProcess is a process in a worker: its container's first (no exec id) or an
// exec.
type isolatedProcess struct {
	c    *isolated
	exec string
}

var (
	_ task.Process     = (*isolatedProcess)(nil)
	_ task.StdinCloser = (*isolatedProcess)(nil)
	_ task.Resizer     = (*isolatedProcess)(nil)
)

// Start runs it. The pid is the worker's, as the daemon says; that of a Linux container
// its task server says.
func (p *isolatedProcess) Start(ctx context.Context) (uint32, error) {
	r, err := p.c.tasks.Start(ctx, &taskapi.StartRequest{Id: p.c.id, ExecId: p.exec})
	switch {
	case err != nil:
		return 0, p.c.explain(ctx, err)
	case !p.c.linux:
		return p.c.pid.Load(), nil
	case p.exec == "":
		p.c.pid.Store(r.GetPid())
	}
	return r.GetPid(), nil
}

// killGrace is how long a worker may take to end its guest, which takes it
// milliseconds, before the worker is ended.
const killGrace = 5 * time.Second

// Kill passes the signal on. SIGKILL of the container's first process also ends a
// worker that does not answer.
func (p *isolatedProcess) Kill(ctx context.Context, signal syscall.Signal, all bool) error {
	last := signal == syscall.SIGKILL && p.exec == ""
	asked := ctx
	if last {
		var cancel context.CancelFunc
		asked, cancel = context.WithTimeout(ctx, killGrace)
		defer cancel()
	}
	err := p.c.tasks.Kill(asked, &taskapi.KillRequest{Id: p.c.id, ExecId: p.exec, Signal: uint32(signal), All: all})
	switch {
	case err == nil, errdefs.IsNotFound(err):
		return err
	case p.c.conn.isGone():
		return fmt.Errorf("the container's process %d has ended: %w", p.c.pid.Load(), errdefs.ErrNotFound)
	case !last:
		return err
	}
	_, s, kerr := p.c.kill(ctx)
	s.close()
	if kerr != nil {
		return errors.Join(err, kerr)
	}
	return nil
}

// Wait answers when it has ended, or the worker is gone.
func (p *isolatedProcess) Wait(ctx context.Context) (task.Exit, error) {
	r, err := p.c.tasks.Wait(ctx, &taskapi.WaitRequest{Id: p.c.id, ExecId: p.exec})
	switch {
	case err == nil:
		return task.Exit{Status: r.GetExitStatus(), At: r.GetExitedAt().AsTime()}, nil
	case ctx.Err() == nil && p.c.conn.isGone():
		return p.c.lost(), nil
	}
	return task.Exit{}, err
}

// Delete frees an exec; the container's first process goes with the worker.
func (p *isolatedProcess) Delete(ctx context.Context) error {
	_, err := p.c.tasks.Delete(ctx, &taskapi.DeleteRequest{Id: p.c.id, ExecId: p.exec})
	if errdefs.IsNotFound(err) || p.c.conn.isGone() {
		return nil
	}
	return err
}

// CloseStdin ends its input.
func (p *isolatedProcess) CloseStdin(ctx context.Context) error {
	return p.c.explain(ctx, p.c.tasks.CloseIO(ctx, &taskapi.CloseIORequest{Id: p.c.id, ExecId: p.exec, Stdin: true}))
}

// Resize sets the size of its terminal.
func (p *isolatedProcess) Resize(ctx context.Context, width, height uint32) error {
	return p.c.explain(ctx, p.c.tasks.ResizePty(ctx, &taskapi.ResizePtyRequest{Id: p.c.id, ExecId: p.exec, Width: width, Height: height}))
}
