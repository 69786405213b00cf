package intask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
	"blazar/engines/wasmtime"
	"blazar/engines/wazero"
)

// inProcess are the engines that this process has. WasmEdge's library cannot be opened
// by a process that was not started with it.
var inProcess = map[string]engines.Factory{wasmtime.Name: wasmtime.New, wazero.Name: wazero.New}

// engineRunner starts guests in this process: the engine and the WASI layer alone,
// without the Task API, containerd and files. As in a pod, the artifact is loaded
// when nothing runs that shares it.
type engineRunner struct {
	engine   engines.Engine
	artifact string
	dir      string // of FIFOs
	count    int
}

var _ runner = (*engineRunner)(nil)

func newEngineRunner(ctx context.Context, factory engines.Factory, module, dir string) (*engineRunner, error) {
	e, err := factory(ctx)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(module)
	if err != nil {
		return nil, err
	}
	r := &engineRunner{engine: e, artifact: filepath.Join(dir, "artifact"), dir: dir}
	if err := os.Mkdir(r.artifact, 0o700); err != nil {
		return nil, err
	}
	return r, e.Compile(ctx, b, r.artifact)
}

// close has nothing to take down: the folders are the measurement's, the engine the
// process's.
func (r *engineRunner) close() error { return nil }

func (r *engineRunner) batch(ctx context.Context, n int) (samples []sample, err error) {
	outputs := make([]*output, n)
	defer func() {
		for _, o := range outputs {
			if o != nil {
				err = errors.Join(err, o.close())
			}
		}
	}()
	for i := range outputs {
		r.count++
		if outputs[i], err = newOutput(filepath.Join(r.dir, strconv.Itoa(r.count))); err != nil {
			return nil, err
		}
	}
	return together(n, func(i int) (sample, error) { return r.run(ctx, outputs[i]) })
}

func (r *engineRunner) run(ctx context.Context, o *output) (s sample, err error) {
	begin := time.Now()
	m, err := r.engine.Load(ctx, r.artifact)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	end, err := os.OpenFile(o.path, os.O_RDWR, 0)
	if err != nil {
		return s, err
	}
	system, err := wasip1.New(wasip1.Config{Args: []string{"guest"}, Stdout: end})
	if err != nil {
		return s, errors.Join(err, end.Close())
	}
	defer func() { _ = system.Close() }() // the FIFO, which is read here
	instance, err := m.New(ctx, engines.Config{System: system})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	s.created = time.Since(begin)
	exits := make(chan engines.Exit)
	go func() { // ends with the guest, which is waited for
		runtime.LockOSThread()
		exits <- instance.Run()
	}()
	exit := <-exits
	at, err := o.wait(ctx)
	if err != nil {
		return s, err
	}
	s.first = at.Sub(begin)
	if exit.Err != nil || exit.Trap != nil || exit.OOM || exit.Killed || exit.Code != 0 {
		return s, fmt.Errorf("the guest ended with %+v", exit)
	}
	return s, nil
}
