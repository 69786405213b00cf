package wasmtask

import (
	"context"
	"fmt"
	"syscall"

	"github.com/containerd/errdefs"
)

// ignored are the signals whose default is to do nothing; a guest cannot catch
// them, so they do nothing.
var ignored = map[syscall.Signal]bool{
	0:               true, // asks whether the process is there
	syscall.SIGCHLD: true, syscall.SIGURG: true, syscall.SIGWINCH: true, syscall.SIGCONT: true,
}

// stopping are the signals whose default is to stop the process, which an engine
// cannot do to a guest.
var stopping = map[syscall.Signal]bool{
	syscall.SIGSTOP: true, syscall.SIGTSTP: true, syscall.SIGTTIN: true, syscall.SIGTTOU: true,
}

// Kill does what the signal does by default, since a guest cannot catch it: most
// end the guest with 128+n. SIGTERM closes the listeners of a guest that has some
// and lets it finish.
func (p *process) Kill(ctx context.Context, signal syscall.Signal, _ bool) error {
	select {
	case <-p.done:
		return fmt.Errorf("process has ended: %w", errdefs.ErrNotFound)
	default:
	}
	switch {
	case signal < 0 || signal > 64:
		return fmt.Errorf("signal %d: %w", signal, errdefs.ErrInvalidArgument)
	case ignored[signal]:
		return nil
	case stopping[signal]:
		return fmt.Errorf("%v: a wasm guest cannot be stopped and continued: %w", signal, errdefs.ErrNotImplemented)
	case signal == syscall.SIGTERM && p.system.HasListeners() && p.isStarted():
		p.system.Shutdown()
		return nil
	}
	return p.end(ctx, signal)
}

func (p *process) isStarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// end ends the guest and returns when it has ended.
func (p *process) end(ctx context.Context, signal syscall.Signal) error {
	p.mu.Lock()
	if p.signal == 0 {
		p.signal = signal
		if !p.started { // nothing runs; what waits is told
			go p.finish(128+uint32(signal), "") // Delete waits for it
		}
	}
	p.kill()
	p.mu.Unlock()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// interrupt ends the guest like end, without waiting, if it runs.
func (p *process) interrupt(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started {
		return
	}
	if p.signal == 0 {
		p.signal = signal
	}
	p.kill()
}
