package prockind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"blazar/sandbox/task"
)

// runtime makes containers that are processes.
type runtime struct{}

// container is a process and those that Exec adds.
type container struct {
	*process
	mu    sync.Mutex // guards execs
	execs []*process
}

var (
	_ task.Runtime   = (*runtime)(nil)
	_ task.Container = (*container)(nil)
	_ task.Pauser    = (*container)(nil)
	_ task.Pidser    = (*container)(nil)
	_ task.Meter     = (*container)(nil)
)

// Create reads the bundle and opens the FIFOs.
func (*runtime) Create(_ context.Context, r *task.CreateRequest) (task.Container, error) {
	data, err := os.ReadFile(filepath.Join(r.Bundle, "config.json"))
	if err != nil {
		return nil, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("config.json: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if spec.Process == nil || len(spec.Process.Args) == 0 {
		return nil, fmt.Errorf("config.json: no process: %w", errdefs.ErrInvalidArgument)
	}
	p, err := newProcess(spec.Process.Args, r.Stdio)
	if err != nil {
		return nil, err
	}
	return &container{process: p}, nil
}

// Exec prepares one more process.
func (c *container) Exec(_ context.Context, r *task.ExecRequest) (task.Process, error) {
	p, err := newProcess(r.Process.Args, r.Stdio)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.execs = append(c.execs, p)
	return p, nil
}

func (c *container) all() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*process{c.process}, c.execs...)
}

// Kill signals the first process or all.
func (c *container) Kill(ctx context.Context, s syscall.Signal, all bool) error {
	if !all {
		return c.process.Kill(ctx, s, false)
	}
	return c.signal(s)
}

func (c *container) signal(s syscall.Signal) error {
	var errs []error
	for i, p := range c.all() {
		if err := p.Kill(context.Background(), s, false); err != nil && (i == 0 || !errdefs.IsNotFound(err)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Pause stops all processes.
func (c *container) Pause(context.Context) error { return c.signal(syscall.SIGSTOP) }

// Resume lets all processes go on.
func (c *container) Resume(context.Context) error { return c.signal(syscall.SIGCONT) }

// Pids are those on the host.
func (c *container) Pids(context.Context) ([]uint32, error) {
	var pids []uint32
	for _, p := range c.all() {
		if pid := p.alive(); pid != 0 {
			pids = append(pids, pid)
		}
	}
	return slices.Compact(pids), nil
}

// Stats measures the processes.
func (c *container) Stats(ctx context.Context) (proto.Message, error) {
	pids, err := c.Pids(ctx)
	if err != nil {
		return nil, err
	}
	return metrics(pids)
}
