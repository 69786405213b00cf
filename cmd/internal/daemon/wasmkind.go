package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"blazar/internal/config"
	"blazar/internal/idrange"
	"blazar/sandbox"
	"blazar/wasmsandboxer"
	"blazar/wasmsandboxer/host"
)

// wasmKind makes the sandboxer of wasm pods and what it needs.
func wasmKind(cfg config.Config, p Programs) (_ sandbox.Sandboxer, closeAll func() error, err error) {
	var closers []func() error
	closeAll = func() error {
		var errs []error
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	if st, err := os.Stat(cfg.Wasm.Task); err != nil || !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("wasm-task is not at %s: build it, or name it with --wasm-task: %w", cfg.Wasm.Task, errdefs.ErrNotFound)
	}
	cache, err := OpenCache(cfg, p.Compiler)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, cache.Close)
	containers, err := host.NewContainerd(cfg.Containerd.Address)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, containers.Close)
	events := host.NewContainerdEvents(cfg.Containerd.Address)
	closers = append(closers, events.Close)
	first, last := cfg.Wasm.FirstID, cfg.Wasm.LastID
	if first == 0 && last == 0 {
		first, last = idrange.DefaultFirst, idrange.DefaultLast
	}
	ids, err := idrange.New(first, last)
	if err != nil {
		return nil, nil, err
	}
	engines, err := p.Engines(cfg)
	if err != nil {
		return nil, nil, err
	}
	linux, err := newMixed(cfg)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() error { linux.kind.Close(); return nil })
	kind, err := wasmsandboxer.New(wasmsandboxer.Config{
		Node: &host.Node{
			Containers: containers, Engines: engines, DefaultEngine: cfg.Wasm.Engine,
			Cache: cache, Events: events, ContainerdState: cfg.Containerd.State,
			RefuseUnmapped: cfg.Wasm.UnmappedVolumes == config.Refuse,
			FirstTier:      cfg.Wasm.FirstTier,
			BestEffort:     cfg.Wasm.Confinement == config.BestEffort,
		},
		Binary: cfg.Wasm.Task, WasmEdge: WasmEdgePlace(cfg), Sockets: filepath.Join(cfg.State, "s"), IDs: ids,
		CgroupParent: cfg.Wasm.CgroupParent, MemoryOverhead: cfg.Wasm.MemoryOverhead, LogLevel: cfg.LogLevel,
		Prepared: cfg.Wasm.Prepared, Linux: linux,
	})
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() error { kind.Close(); return nil })
	stop, err := watchImages(cfg, engines, cache)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, stop)
	return kind, closeAll, nil
}
