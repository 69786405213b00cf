package runctask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"
	"github.com/containerd/log"

	"blazar/internal/proc"
	"blazar/runcsandboxer/runctask/orphans"
	"blazar/sandbox/task"
	"blazar/sandbox/task/stdio"
)

// drainTime is how long the exit of a process with a terminal waits for somebody to
// read the rest of its output; containerd's own shim waits as long.
const drainTime = 10 * time.Second

// process is a container's first process or one that was added, and its stdio.
type process struct {
	name    string // in errors
	stdio   task.Stdio
	orphans *orphans.Reaper // set by launch

	mu       sync.Mutex // guards the fields below
	handle   *proc.Handle
	input    *stdio.Input
	terminal *stdio.Terminal
	// noInput: CloseStdin came before Start.
	noInput bool
	exit    *task.Exit
}

// launch has the runtime start the process: run is given its stdio, and has to make
// the runtime write the pid to pidFile.
func (p *process) launch(ctx context.Context, c *container, pidFile string, run func(ctx context.Context, io runc.IO, tty runc.ConsoleSocket) error) (*proc.Handle, error) {
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p.orphans = c.rt.config.Orphans
	end := p.orphans.Begin()
	defer end()
	if p.stdio.Terminal {
		return p.launchTerminal(ctx, c, pidFile, run)
	}
	s, err := openStreams(ctx, p.stdio, c.record.UID, c.record.GID)
	if err != nil {
		return nil, err
	}
	err = run(ctx, ioOf{streams: s}, nil)
	err = errors.Join(err, s.closeChild())
	var h *proc.Handle
	if err == nil {
		h, err = started(pidFile)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	p.begun(h, s.stdin, nil)
	return h, nil
}

func (p *process) launchTerminal(ctx context.Context, c *container, pidFile string, run func(context.Context, runc.IO, runc.ConsoleSocket) error) (*proc.Handle, error) {
	socket, err := listenConsole(c.rt.consoles())
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.close() }() // in a directory that is cleared at the start
	none, err := openStreams(ctx, task.Stdio{}, 0, 0)
	if err != nil {
		return nil, err
	}
	err = run(ctx, ioOf{streams: none}, socket)
	err = errors.Join(err, none.close())
	if err != nil {
		return nil, err
	}
	h, err := started(pidFile)
	if err != nil {
		return nil, err
	}
	t, err := p.join(ctx, socket)
	if err != nil {
		return nil, errors.Join(err, h.Signal(syscall.SIGKILL), h.Close())
	}
	p.begun(h, nil, t)
	return h, nil
}

// join joins the terminal that the runtime sent to the FIFOs, once somebody reads.
func (p *process) join(ctx context.Context, socket *consoleSocket) (*stdio.Terminal, error) {
	master, err := socket.receive(ctx)
	if err != nil {
		return nil, err
	}
	var reader *os.File
	if p.stdio.Stdout != "" {
		if reader, err = stdio.AwaitReader(ctx, p.stdio.Stdout); err != nil {
			return nil, errors.Join(err, master.Close())
		}
		defer func() { _ = reader.Close() }() // nothing was written to it
	}
	return stdio.NewTerminal(master, p.stdio.Stdin, p.stdio.Stdout)
}

// started holds the process that the runtime left to us. It may have ended; nobody
// else reaps it.
func started(pidFile string) (*proc.Handle, error) {
	ref, err := readPid(pidFile)
	if err != nil {
		return nil, err
	}
	return proc.Open(ref)
}

// readPid reads what the runtime wrote and names the process that has the pid now.
func readPid(pidFile string) (proc.Ref, error) {
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return proc.Ref{}, fmt.Errorf("the runtime wrote no pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return proc.Ref{}, fmt.Errorf("%s: %w", filepath.Base(pidFile), err)
	}
	return proc.RefOf(pid)
}

// begun notes what the process has from its start on.
func (p *process) begun(h *proc.Handle, in *stdio.Input, t *stdio.Terminal) {
	p.mu.Lock()
	p.handle, p.input, p.terminal = h, in, t
	closed := p.noInput
	p.mu.Unlock()
	p.orphans.Own(h.Ref().Pid)
	if closed {
		if err := p.CloseStdin(context.Background()); err != nil {
			log.L.WithError(err).Warnf("%s: cannot end its input", p.name)
		}
	}
}

// held returns the process, once it was started.
func (p *process) held() (*proc.Handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handle == nil {
		return nil, fmt.Errorf("%s was not started: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	return p.handle, nil
}

// ended waits for the end of the process and of its terminal's output.
func (p *process) ended(ctx context.Context) (task.Exit, error) {
	p.mu.Lock()
	exit, h, t := p.exit, p.handle, p.terminal
	p.mu.Unlock()
	if exit != nil {
		return *exit, nil
	}
	if h == nil {
		return task.Exit{}, fmt.Errorf("%s was not started: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	e, err := h.Wait(ctx)
	if err != nil {
		return task.Exit{}, err
	}
	if t != nil {
		drain, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		if err := t.Wait(drain); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).Warnf("%s has ended", p.name)
		}
	}
	if !e.Known {
		log.G(ctx).Warnf("%s has ended while nobody here was its parent, and this kernel does not tell how: 255 is reported", p.name)
		return unknownExit(e.At), nil
	}
	return task.Exit{Status: e.Status, At: e.At}, nil
}

// settle keeps the first exit that was found, for ever, and closes the input.
func (p *process) settle(e task.Exit) task.Exit {
	p.mu.Lock()
	if p.exit == nil {
		p.exit = &e
	}
	e, in, t := *p.exit, p.input, p.terminal
	p.mu.Unlock()
	p.disown()
	if in != nil {
		_ = in.CloseStdin() // nobody reads it
	}
	if t != nil {
		_ = t.Close() // its output's end is what an exec of CRI waits for
	}
	return e
}

// disown lets the process be reaped by others, if it has not been.
func (p *process) disown() {
	if h, err := p.held(); err == nil && p.orphans != nil {
		p.orphans.Disown(h.Ref().Pid)
	}
}

// signal sends a signal to the process alone.
func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	h, exit := p.handle, p.exit
	p.mu.Unlock()
	switch {
	case exit != nil:
		return fmt.Errorf("%s has ended: %w", p.name, errdefs.ErrNotFound)
	case h == nil && s == syscall.SIGKILL:
		return nil // there is nothing, and no file is open yet
	case h == nil:
		return fmt.Errorf("%s was not started: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	return h.Signal(s)
}

// Resize changes the size of the terminal.
func (p *process) Resize(ctx context.Context, width, height uint32) error {
	p.mu.Lock()
	t := p.terminal
	p.mu.Unlock()
	if t == nil {
		return fmt.Errorf("%s: its terminal went with an earlier task server: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	return t.Resize(ctx, width, height)
}

// CloseStdin ends the input, also before Start.
func (p *process) CloseStdin(ctx context.Context) error {
	p.mu.Lock()
	p.noInput = true
	in, t := p.input, p.terminal
	p.mu.Unlock()
	switch {
	case in != nil:
		return in.CloseStdin()
	case t != nil:
		return t.CloseStdin(ctx)
	}
	return nil
}

// release closes what is held of the process, which runs on.
func (p *process) release() error {
	p.mu.Lock()
	h, in, t := p.handle, p.input, p.terminal
	p.mu.Unlock()
	p.disown()
	var err error
	if in != nil {
		err = in.CloseStdin() // the other end is the process's
	}
	if t != nil {
		err = errors.Join(err, t.Close())
	}
	if h != nil {
		err = errors.Join(err, h.Close())
	}
	return err
}
