package confine

import (
	"context"
	"os"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/net/bpf"

	"blazar/internal/proc"
)

type FilterOptions struct {
	// OwnPid is the process's pid in its pid namespace, 0 means 1.
	OwnPid uint32
}

func Filter(o FilterOptions) ([]bpf.RawInstruction, error)     { return nil, errdefs.ErrNotImplemented }
func Start(ctx context.Context, c Config) (*Process, error)    { return nil, errdefs.ErrNotImplemented }
func (p *Process) Pidfd() *os.File                             { return p.handle.File() }
func (p *Process) Ref() proc.Ref                               { return p.handle.Ref() }
func (p *Process) Handle() *proc.Handle                        { return p.handle }
func (p *Process) Wait(ctx context.Context) (proc.Exit, error) { return p.handle.Wait(ctx) }
func (p *Process) Kill() error                                 { return p.handle.Signal(syscall.SIGKILL) }
func (p *Process) Close() error                                { return p.handle.Close() }
