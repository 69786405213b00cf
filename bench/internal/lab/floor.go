package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// FloorHandler is the runtime handler of pods that do nothing (bench/floor).
const FloorHandler = "floor"

const (
	// floorStart is how long the floor may take to listen.
	floorStart = 10 * time.Second
	// floorStop is how long it may take to end.
	floorStop = 5 * time.Second
)

// floor is the running process of bench/floor.
type floor struct {
	dir  string // of its sockets
	cmd  *exec.Cmd
	done chan struct{} // closed when it was reaped
}

// startFloor builds and starts the floor. It ends with this process at the latest.
func startFloor(ctx context.Context, peers string) (_ *floor, err error) {
	program := filepath.Join(peers, "floor")
	if err := build(ctx, program, "blazar/bench/floor"); err != nil {
		return nil, err
	}
	f := &floor{done: make(chan struct{})}
	if f.dir, err = os.MkdirTemp("", "floor-"); err != nil {
		return nil, err
	}
	f.cmd = exec.Command(program, f.socket(), filepath.Join(f.dir, "task"))
	f.cmd.Stderr = os.Stderr
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := f.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(f.dir))
	}
	go func() {
		_ = f.cmd.Wait() // how it ended it has said itself
		close(f.done)
	}()
	if err := f.ready(ctx); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

func (f *floor) socket() string { return filepath.Join(f.dir, "floor") }

// ready waits until the floor listens on its second socket.
func (f *floor) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, floorStart)
	defer cancel()
	for {
		conn, err := net.Dial("unix", f.socket())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-f.done:
			return fmt.Errorf("the floor ended at once: %s", f.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("the floor does not listen: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends the process and removes its sockets.
func (f *floor) stop() error {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-f.done:
	case <-time.After(floorStop):
		_ = f.cmd.Process.Kill()
		<-f.done
	}
	return os.RemoveAll(f.dir)
}

// build builds a program of this module, which takes no time when it is up to date.
func build(ctx context.Context, program, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}
