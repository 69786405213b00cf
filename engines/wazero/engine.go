// Package wazero is the engine over github.com/tetratelabs/wazero: pure Go, so
// it is in every build and the only engine of a build without cgo. It compiles
// to native code and can interpret; it has no components and will not get them.
package wazero

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"blazar/engines"

	"github.com/containerd/errdefs"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Name is the engine's name.
const Name = "wazero"

// engine is an engines.Engine.
type engine struct {
	info   engines.Info
	loaded shared
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
	prepared, _, err := prepare(module)
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
	defer func() { _ = c.close() }() // everything is on disk by then
	if err := compile(ctx, c, prepared); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, moduleFile), prepared); err != nil {
		return fmt.Errorf("write the artifact: %w", err)
	}
	digest := sha256.Sum256(module)
	return writeManifest(dir, manifest{Version: e.info.Version, Settings: e.info.Settings, Digest: hex.EncodeToString(digest[:])})
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
		return fmt.Errorf("the module needs what the engine wazero does not have: %s: %w", printable(err.Error(), maxMessage), errdefs.ErrNotImplemented)
	}
	return fmt.Errorf("invalid module: %s: %w", printable(err.Error(), maxMessage), errdefs.ErrInvalidArgument)
}

// Load implements engines.Engine. Modules of the same content share their code
// while any of them is open.
func (e *engine) Load(ctx context.Context, dir string) (engines.Module, error) {
	m, err := readManifest(dir, e.info.Version, e.info.Settings)
	if err != nil {
		return nil, err
	}
	return e.loaded.get(m.Digest, func() (*code, error) { return load(ctx, dir, m) })
}

// load maps the artifact. wazero would compile what its cache lacks, which a
// process that holds guests must never do; a context that is done already lets
// a hit pass and ends a compilation before its first function.
func load(ctx context.Context, dir string, m manifest) (*code, error) {
	prepared, err := m.verify(dir)
	if err != nil {
		return nil, err
	}
	outline, err := outlineOf(prepared)
	if err != nil {
		return nil, damaged(dir, err.Error())
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the artifact in %s: %w", dir, err)
	}
	c := &code{cache: cache, outline: outline}
	if c.runtime, err = newRuntime(ctx, wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache)); err != nil {
		return nil, err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	err = compile(done, c, prepared)
	if err == nil {
		return c, nil
	}
	_ = c.close() // the first error tells more
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return nil, fmt.Errorf("the artifact in %s does not fit this processor or this build of wazero; compile the module again: %w",
			dir, errdefs.ErrFailedPrecondition)
	}
	return nil, fmt.Errorf("load the artifact in %s: %w", dir, err)
}

// Interpret implements engines.Interpreter. wazero's interpreter ends a guest that
// is 2,000 calls deep as out of stack; compiled code has 100 MB of it.
func (e *engine) Interpret(ctx context.Context, file []byte) (engines.Module, error) {
	prepared, outline, err := prepare(file)
	if err != nil {
		return nil, err
	}
	c := &code{outline: outline}
	if c.runtime, err = newRuntime(ctx, wazero.NewRuntimeConfigInterpreter()); err != nil {
		return nil, err
	}
	if err := compile(ctx, c, prepared); err != nil {
		_ = c.close() // the first error tells more
		return nil, err
	}
	return &module{code: c, release: sync.OnceValue(c.close)}, nil
}
