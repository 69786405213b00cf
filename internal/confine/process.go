package confine

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/containerd/errdefs"

	"blazar/internal/proc"
)

// Process is a confined process, started by Start. Safe for concurrent use. After a
// restart of the daemon it is held by proc.Open of its Ref.
type Process struct {
	// Pid on the host.
	Pid int
	// Pidfd belongs to the process; Close closes it.
	Pidfd *os.File
	// Control is the daemon's end of the process's descriptor 3, a unixpacket
	// socket. It belongs to the process; Close closes it.
	Control *net.UnixConn

	handle *proc.Handle
}

// Ref is what a record on disk keeps of the process.
func (p *Process) Ref() proc.Ref { return p.handle.Ref() }

// Handle is the process as package proc holds it; it belongs to the process.
func (p *Process) Handle() *proc.Handle { return p.handle }

// Wait blocks until the process has ended, reaps it and says how it ended; any
// number of times.
func (p *Process) Wait(ctx context.Context) (proc.Exit, error) { return p.handle.Wait(ctx) }

// Kill ends the process, if it has not ended. It does not wait.
func (p *Process) Kill() error {
	if err := p.handle.Signal(syscall.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// Close lets go of the process, which runs on. A process that has been killed is
// to be waited for first, or its pid stays taken. Idempotent.
func (p *Process) Close() error {
	err := p.Control.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.handle.Close())
}
