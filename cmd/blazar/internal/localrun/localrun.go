// Package localrun runs a module right away, without containerd: `blazar run`. It
// uses the engines, the WASI layer and the image package that pods use, so that a
// guest behaves here as it does there; only the confinement is missing.
package localrun

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/artifact"

	"github.com/containerd/errdefs"
)

// Options say what to run and how.
type Options struct {
	// Target is a module, `module#export`, or an image: the tar or directory of an
	// OCI layout.
	Target string
	// Args follow the guest's own name.
	Args []string
	// Engine is an engine's name; empty means the first that can run the module.
	Engine string
	// Env are "NAME=value", over those of an image.
	Env    []string
	Dirs   []Dir
	Listen []Address
	// Memory bounds linear memory, in bytes; 0 for what the module declares.
	Memory uint64
	// Timeout bounds the guest's run; 0 for none.
	Timeout time.Duration
	// Cache is the directory of compiled modules; empty means the user's.
	Cache string

	Engines               *engines.Registry
	Stdin, Stdout, Stderr *os.File
	// Signals are those sent to this process that mean the guest.
	Signals <-chan os.Signal
}

// Run runs the guest to its end and returns the process's exit code; what there is
// to say about the end goes to Options.Stderr. An error means that the guest did
// not run.
func Run(ctx context.Context, o Options) (int, error) {
	ctx, begin := untilSignal(ctx, o.Signals)
	code, err := run(ctx, o, begin)
	if sig := begin(); sig != 0 && err != nil {
		return 128 + int(sig), nil // it was told to end before there was a guest
	}
	return code, err
}

// run is Run with begin, which ends the time in which a signal ends ctx.
func run(ctx context.Context, o Options, begin func() syscall.Signal) (int, error) {
	p, err := open(ctx, o)
	if err != nil {
		return 0, err
	}
	defer p.close()
	cache, err := openCache(o)
	if err != nil {
		return 0, err
	}
	defer func() { _ = cache.Close() }() // the artifact was released by then
	module, release, err := load(ctx, o, cache, p)
	if err != nil {
		return 0, err
	}
	defer release()
	system, err := world(ctx, o, p)
	if err != nil {
		return 0, err
	}
	defer func() { _ = system.Close() }() // the guest has ended; there is nobody to tell
	instance, err := module.New(ctx, engines.Config{System: system, Entry: p.entry, MemoryLimit: o.Memory})
	if err != nil {
		return 0, err
	}
	defer func() { _ = instance.Close() }() // as above
	if begin() != 0 {
		return 0, ctx.Err()
	}
	end := supervise(ctx, o, instance, system)
	return end.report(o.Stderr, p.name, o)
}

// load finds an engine that can run the module, and the module's code in the
// cache or compiled.
func load(ctx context.Context, o Options, cache *ociwasm.Cache, p *program) (engines.Module, func(), error) {
	names := o.Engines.Names()
	if o.Engine != "" {
		names = []string{o.Engine}
	}
	var first error
	for _, name := range names {
		m, release, err := loadWith(ctx, o, cache, p, name)
		if err == nil {
			return m, release, nil
		}
		if first == nil {
			first = err
		}
		if !errdefs.IsNotImplemented(err) && !errdefs.IsUnavailable(err) && !errdefs.IsNotFound(err) {
			break // another engine would not do better
		}
	}
	return nil, nil, first
}

func loadWith(ctx context.Context, o Options, cache *ociwasm.Cache, p *program, name string) (engines.Module, func(), error) {
	engine, err := o.Engines.Open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	info := engine.Info()
	if err := p.check(ctx, artifact.Abilities(info)); err != nil {
		return nil, nil, err
	}
	made, err := cache.Artifact(ctx, artifact.Key(p.digest, info), func(ctx context.Context) (io.ReadCloser, error) { return p.open(ctx) })
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.name, err)
	}
	m, err := engine.Load(ctx, made.Dir)
	if err != nil {
		made.Release()
		return nil, nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return m, func() {
		_ = m.Close() // the process is about to end
		made.Release()
	}, nil
}
