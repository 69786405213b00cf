package prockind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"blazar/sandbox/task"
	"blazar/sandbox/task/stdio"
)

// drainTimeout is how long the output of a terminal may take after its process.
const drainTimeout = 10 * time.Second

// process is a child.
type process struct {
	args []string
	// Without a terminal: files that the child gets.
	stdin          *stdio.Input
	stdout, stderr *os.File
	// With one.
	terminal *stdio.Terminal
	slave    *os.File

	done chan struct{} // closed when exit is set

	mu   sync.Mutex // guards the fields below
	cmd  *exec.Cmd
	host uint32
	exit task.Exit
}

func newProcess(args []string, s task.Stdio) (*process, error) {
	p := &process{args: args, done: make(chan struct{})}
	if err := p.open(s); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *process) open(s task.Stdio) (err error) {
	if s.Terminal {
		var master *os.File
		if master, p.slave, err = stdio.Pty(); err != nil {
			return err
		}
		p.terminal, err = stdio.NewTerminal(master, s.Stdin, s.Stdout)
		return err
	}
	if s.Stdin != "" {
		if p.stdin, err = stdio.OpenInput(s.Stdin, stdio.ForChild); err != nil {
			return err
		}
	}
	for _, o := range []struct {
		path string
		file **os.File
	}{{s.Stdout, &p.stdout}, {s.Stderr, &p.stderr}} {
		if o.path != "" {
			if *o.file, err = stdio.Output(o.path, stdio.ForChild); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *process) close() error {
	var err error
	if p.stdin != nil {
		err = p.stdin.Close()
	}
	for _, f := range []*os.File{p.stdout, p.stderr, p.slave} {
		if f != nil {
			if cerr := f.Close(); !errors.Is(cerr, os.ErrClosed) {
				err = errors.Join(err, cerr)
			}
		}
	}
	if p.terminal != nil {
		err = errors.Join(err, p.terminal.Close())
	}
	return err
}

// Start forks the child.
func (p *process) Start(context.Context) (uint32, error) {
	cmd := exec.Command("/proc/self/exe", p.args...)
	cmd.Env = []string{guestEnv + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.slave != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
		cmd.SysProcAttr.Setctty = true
	} else {
		if p.stdin != nil {
			cmd.Stdin = p.stdin.File
		}
		if p.stdout != nil {
			cmd.Stdout = p.stdout
		}
		if p.stderr != nil {
			cmd.Stderr = p.stderr
		}
	}
	if p.args[0] == "unstartable" {
		cmd.Path = "/nonexistent"
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	host, err := hostPidOf(cmd.Process.Pid)
	p.mu.Lock()
	p.cmd, p.host = cmd, host
	p.mu.Unlock()
	go p.wait(cmd)
	return host, err
}

// wait reaps the child, hands its output on, and then tells of the exit.
func (p *process) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	at := time.Now()
	if p.terminal != nil {
		_ = p.slave.Close() // the last one, which ends the output
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		err = errors.Join(err, p.terminal.Wait(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exit = task.Exit{Status: 255, At: at}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		p.exit.Status = uint32(s.ExitStatus())
		if s.Signaled() {
			p.exit.Status = 128 + uint32(s.Signal())
		}
	} else {
		fmt.Fprintln(os.Stderr, "prockind:", err)
	}
	close(p.done)
}

// alive is the pid on the host, 0 if the child does not run.
func (p *process) alive() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.exit != (task.Exit{}) {
		return 0
	}
	return p.host
}

// Kill signals the child.
func (p *process) Kill(_ context.Context, s syscall.Signal, _ bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.exit != (task.Exit{}) {
		return fmt.Errorf("no process: %w", errdefs.ErrNotFound)
	}
	if err := p.cmd.Process.Signal(s); errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process has ended: %w", errdefs.ErrNotFound)
	} else if err != nil {
		return err
	}
	return nil
}

// Wait waits for the exit.
func (p *process) Wait(ctx context.Context) (task.Exit, error) {
	select {
	case <-p.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.exit, nil
	case <-ctx.Done():
		return task.Exit{}, ctx.Err()
	}
}

// Delete closes the files.
func (p *process) Delete(context.Context) error { return p.close() }

// CloseStdin ends the input.
func (p *process) CloseStdin(ctx context.Context) error {
	switch {
	case p.terminal != nil:
		return p.terminal.CloseStdin(ctx)
	case p.stdin != nil:
		return p.stdin.CloseStdin()
	}
	return nil
}

// Resize changes the size of the terminal.
func (p *process) Resize(ctx context.Context, width, height uint32) error {
	if p.terminal == nil {
		return fmt.Errorf("no terminal: %w", errdefs.ErrFailedPrecondition)
	}
	return p.terminal.Resize(ctx, width, height)
}
