package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
	"blazar/sandbox"
)

// stopTimeout bounds the wait for a process that was sent SIGKILL.
const stopTimeout = 20 * time.Second

// Stop kills wasm-task and the workers, and with them every guest, and the pod's Linux
// containers, and returns when they are gone.
func (p *pod) Stop(ctx context.Context) error {
	if err := p.stopTask(ctx); err != nil {
		return err
	}
	return errors.Join(p.stopWorkers(ctx), p.endLinux(ctx))
}

func (p *pod) stopTask(ctx context.Context) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	p.mu.Lock()
	p.stopping = true
	h := p.process
	p.mu.Unlock()
	if h == nil {
		p.finish(sandbox.Exit{At: time.Now()})
		return nil
	}
	if err := h.Signal(unix.SIGKILL); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return fmt.Errorf("stop wasm-task: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wasm-task %d does not end: %w", h.Ref().Pid, ctx.Err())
	}
}

// Delete ends what still runs and frees everything. What failed may be tried again.
func (p *pod) Delete(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	if err := p.release(ctx); err != nil {
		return err
	}
	if err := errors.Join(p.deleteWorkers(ctx), p.deleteLinux(ctx)); err != nil {
		return err
	}
	p.mu.Lock()
	g := p.group
	p.mu.Unlock()
	if err := mnt.UnmountAll(p.path(rootName)); err != nil {
		return err
	}
	if g != nil {
		if err := g.Delete(ctx); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return fmt.Errorf("%s: %w", p.cgroupName(), err)
		}
	}
	own := []string{p.path(rootName), p.path(scratchName), p.path(notesName), p.path(stderrName), p.path(workersName), p.socket(taskSocket), p.socket(hostSocket)}
	if p.record.Prepared != "" {
		own = append(own, p.path("")) // the directory of them
	}
	for _, path := range own {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	p.s.remove(p)
	p.mu.Lock()
	again := p.deleted
	p.deleted = true
	p.mu.Unlock()
	if !again { // the range may be another pod's since
		p.s.config.IDs.Release(p.record.UID)
	}
	return nil
}
