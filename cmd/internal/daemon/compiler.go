package daemon

import (
	"context"
	"path/filepath"
	"time"

	"github.com/containerd/log"

	"blazar/engines"
	"blazar/internal/config"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/precompile"
)

// OpenCache opens the cache of compiled modules that pods use. The compiler runs in
// children: of this program, or of compiler if that is not empty.
func OpenCache(cfg config.Config, compiler string) (*ociwasm.Cache, error) {
	return ociwasm.OpenCache(filepath.Join(cfg.Root, "cache"), ociwasm.CacheOptions{
		MaxBytes: cfg.Wasm.CacheBytes,
		Compiler: &ociwasm.ExecCompiler{Binary: compiler, Env: compilerEnv(cfg), Limits: ociwasm.CompileLimits{
			Memory: cfg.Wasm.CompileMemory,
			CPU:    time.Duration(cfg.Wasm.CompileSeconds) * time.Second,
			Wall:   time.Duration(cfg.Wasm.CompileSeconds) * time.Second,
		}},
	})
}

// NewCompiler makes what compiles images for the named engines.
func NewCompiler(cfg config.Config, r *engines.Registry, cache *ociwasm.Cache, names []string) (*precompile.Compiler, error) {
	names, err := precompile.Resolve(names, cfg.Wasm.Engine, r)
	if err != nil {
		return nil, err
	}
	return &precompile.Compiler{Registry: r, Engines: names, Cache: cache, Scratch: cfg.Root}, nil
}

// watchImages compiles images as they appear in containerd until stop, which waits.
func watchImages(cfg config.Config, r *engines.Registry, cache *ociwasm.Cache) (stop func() error, err error) {
	c, err := NewCompiler(cfg, r, cache, cfg.Wasm.Precompile)
	if err != nil {
		return nil, err
	}
	if len(c.Engines) == 0 || len(cfg.Containerd.Namespaces) == 0 {
		return func() error { return nil }, nil
	}
	containerd, err := precompile.NewContainerd(cfg.Containerd.Address)
	if err != nil {
		return nil, err
	}
	w := &precompile.Watcher{Compiler: c, Images: containerd, Namespaces: cfg.Containerd.Namespaces}
	ctx, cancel := context.WithCancel(log.WithLogger(context.Background(), log.L))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	return func() error {
		cancel()
		<-done
		return containerd.Close()
	}, nil
}
