// Package wazero is the engine over github.com/tetratelabs/wazero: pure Go, so
// it is in every build and the only engine of a build without cgo. It compiles
// to native code and can interpret; it has no components and will not get them.
package wazero

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"blazar/engines"
	"blazar/engines/internal/artifact"
	"blazar/engines/internal/report"
	"blazar/engines/internal/shared"

	"github.com/containerd/errdefs"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Name is the engine's name.
const Name = "wazero"

// moduleFile holds the module as compiled, beside the directory that wazero's
// cache makes: wazero decodes it at every load.
const moduleFile = "module.wasm"

// engine is an engines.Engine.
type engine struct {
	info   engines.Info
	loaded shared.Pool[*code]
}

var (
	_ engines.Engine      = (*engine)(nil)
	_ engines.Interpreter = (*engine)(nil)
)

// New makes the engine; it is an engines.Factory.
func New(context.Context) (engines.Engine, error) {
	return &engine{info: info()}, nil
}

// Info implements engines.Engine.
func (e *engine) Info() engines.Info { return e.info }

// Compile implements engines.Engine.
func (e *engine) Compile(ctx context.Context, module []byte, dir string) error {
	p, err := newPrepared(module)
	if err != nil {
		return err
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return fmt.Errorf("make the artifact in %s: %w", dir, err)
	}
	c := &code{cache: cache}
	if c.runtime, err = newRuntime(ctx, wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache)); err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // everything is on disk by then
	if err := compile(ctx, c, p.module); err != nil {
		return err
	}
	if err := artifact.WriteFile(filepath.Join(dir, moduleFile), p.module); err != nil {
		return err
	}
	return artifact.Write(dir, e.info, module, p.shape)
}

// compile compiles prepared into c and types the errors. Two workers at least:
// wazero's loop for one does not look at the context.
func compile(ctx context.Context, c *code, prepared []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("wazero cannot compile the module: %v: %w", r, errdefs.ErrInternal)
		}
	}()
	workers := max(2, min(4, runtime.GOMAXPROCS(0)))
	c.compiled, err = c.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, workers), prepared)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("compile the module: %w", ctx.Err())
	case strings.Contains(err.Error(), "feature") && strings.Contains(err.Error(), "is disabled"):
		return fmt.Errorf("the module needs what the engine wazero does not have: %s: %w", report.Message(err.Error()), errdefs.ErrNotImplemented)
	}
	return fmt.Errorf("invalid module: %s: %w", report.Message(err.Error()), errdefs.ErrInvalidArgument)
}

// Load implements engines.Engine. Modules of the same content share their code
// while any of them is open.
func (e *engine) Load(ctx context.Context, dir string) (engines.Module, error) {
	m, err := artifact.Read(dir, e.info)
	if err != nil {
		return nil, err
	}
	c, release, err := e.loaded.Get(m.Digest, func() (*code, error) { return load(ctx, dir, m) })
	if err != nil {
		return nil, err
	}
	return &module{code: c, release: release}, nil
}

// load maps the artifact. wazero would compile what its cache lacks, which a
// process that holds guests must never do; a context that is done already lets
// a hit pass and ends a compilation before its first function.
func load(ctx context.Context, dir string, m *artifact.Manifest) (*code, error) {
	if err := m.Verify(dir); err != nil {
		return nil, err
	}
	prepared, err := m.ReadFile(dir, moduleFile)
	if err != nil {
		return nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the artifact in %s: %w", dir, err)
	}
	c := &code{cache: cache, shape: m.Shape}
	if c.runtime, err = newRuntime(ctx, wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache)); err != nil {
		return nil, err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	err = compile(done, c, prepared)
	if err == nil {
		return c, nil
	}
	_ = c.Close() // the first error tells more
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return nil, fmt.Errorf("the artifact in %s does not fit this processor or this build of wazero; compile the module again: %w",
			dir, errdefs.ErrFailedPrecondition)
	}
	return nil, fmt.Errorf("load the artifact in %s: %w", dir, err)
}

// Interpret implements engines.Interpreter. wazero's interpreter ends a guest that
// is 2,000 calls deep as out of stack; compiled code has 100 MB of it.
func (e *engine) Interpret(ctx context.Context, file []byte) (engines.Module, error) {
	p, err := newPrepared(file)
	if err != nil {
		return nil, err
	}
	c := &code{shape: p.shape}
	if c.runtime, err = newRuntime(ctx, wazero.NewRuntimeConfigInterpreter()); err != nil {
		return nil, err
	}
	if err := compile(ctx, c, p.module); err != nil {
		_ = c.Close() // the first error tells more
		return nil, err
	}
	return &module{code: c, release: sync.OnceValue(c.Close)}, nil
}
