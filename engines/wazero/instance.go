package wazero

import (
	"context"
	"fmt"
	"sync"
	"time"

	"blazar/engines"
	"blazar/engines/internal/report"

	"github.com/containerd/errdefs"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// instance is an engines.Instance.
type instance struct {
	code   *code
	config engines.Config
	memory allocator
	ctx    context.Context // of the guest's calls
	cancel context.CancelFunc
	done   chan struct{} // closed when Run returns

	mu      sync.Mutex // guards the fields below
	started bool
	killed  bool
	closed  bool
}

var (
	_ engines.Instance       = (*instance)(nil)
	_ engines.MemoryReporter = (*instance)(nil)
	_ engines.MemoryLimiter  = (*instance)(nil)
)

func newInstance(c *code, config engines.Config) *instance {
	i := &instance{code: c, config: config, memory: allocator{limit: config.MemoryLimit}, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(experimental.WithMemoryAllocator(context.Background(), &i.memory))
	i.ctx, i.cancel = context.WithValue(ctx, instanceKey{}, i), cancel
	return i
}

// guestMemory is the guest's linear memory now, nil where it exports none. Only
// for the goroutine that runs the guest.
func (i *instance) guestMemory() []byte {
	if !i.code.shape.Memory || len(i.memory.memories) == 0 {
		return nil
	}
	return i.memory.memories[0].used
}

// MemoryBytes implements engines.MemoryReporter.
func (i *instance) MemoryBytes() uint64 { return i.memory.total.Load() }

// SetMemoryLimit implements engines.MemoryLimiter.
func (i *instance) SetMemoryLimit(bytes uint64) error { return i.memory.setLimit(bytes) }

// Run implements engines.Instance.
func (i *instance) Run() engines.Exit {
	i.mu.Lock()
	switch {
	case i.started || i.closed:
		i.mu.Unlock()
		return engines.Exit{Err: fmt.Errorf("an instance runs once: %w", errdefs.ErrFailedPrecondition)}
	case i.killed:
		i.mu.Unlock()
		return engines.Exit{Killed: true}
	}
	i.started = true
	i.mu.Unlock()
	defer close(i.done)
	result, err := i.call()
	exit := i.exit(result, err)
	i.cancel()
	if err := i.memory.release(); err != nil && exit.Err == nil {
		return engines.Exit{Err: err}
	}
	return exit
}

// call instantiates the module and calls its functions. The panics of the
// allocator pass through wazero while it instantiates, where nothing is held.
func (i *instance) call() (result uint32, err error) {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(error); ok {
				err = e
			} else {
				err = fmt.Errorf("wazero: %v", r)
			}
		}
	}()
	m, err := i.code.runtime.InstantiateModule(i.ctx, i.code.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Close(context.Background()) }() // fails for files wazero opened only, and it has none
	if first := i.code.shape.Initializer(i.config.Entry); first != "" {
		if _, err := callExport(i.ctx, m, first); err != nil {
			return 0, err
		}
	}
	return callExport(i.ctx, m, i.config.Entry)
}

func callExport(ctx context.Context, m api.Module, name string) (uint32, error) {
	f := m.ExportedFunction(name)
	if f == nil {
		return 0, fmt.Errorf("the module exports no function %.64q: %w", name, errdefs.ErrNotFound)
	}
	results, err := f.Call(ctx)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return uint32(results[0]), nil
}

// exit says how the guest ended. What it did itself comes first: a guest that
// has called proc_exit or returned was not killed, however close the call.
func (i *instance) exit(result uint32, err error) engines.Exit {
	i.mu.Lock()
	killed := i.killed || i.config.System.Killed()
	i.mu.Unlock()
	if i.memory.failed != nil {
		return engines.Exit{OOM: true, Detail: i.memory.failed.Error()}
	}
	if err == nil {
		return engines.Exit{Code: result}
	}
	if code, exited := i.config.System.ExitCode(); exited {
		return engines.Exit{Code: code}
	}
	if trap := asTrap(err, i.code.compiled.Name()); trap != nil {
		return engines.Exit{Trap: trap}
	}
	if killed {
		return engines.Exit{Killed: true}
	}
	return engines.Exit{Err: fmt.Errorf("wazero: %s: %w", report.Message(err.Error()), errdefs.ErrInternal)}
}

// Kill implements engines.Instance.
func (i *instance) Kill() {
	i.mu.Lock()
	i.killed = true
	started := i.started
	i.mu.Unlock()
	if !started {
		return
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		i.config.System.Kill()
		i.cancel()
		select {
		case <-i.done:
			return
		case <-time.After(pause):
		}
	}
}

// Close implements engines.Instance.
func (i *instance) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.started {
		select {
		case <-i.done:
		default:
			return fmt.Errorf("close an instance that is running: %w", errdefs.ErrFailedPrecondition)
		}
	}
	i.closed = true
	i.cancel()
	return i.memory.release()
}
