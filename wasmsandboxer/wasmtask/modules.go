package wasmtask

import (
	"context"
	"sync"

	"github.com/containerd/log"

	"blazar/engines"
)

// modules are the loaded modules, shared by every container and exec that runs
// the same artifact, and closed with the last of them.
type modules struct {
	registry *engines.Registry

	mu     sync.Mutex // guards the map and the counts, never held while loading
	loaded map[moduleKey]*module
}

type moduleKey struct{ engine, artifact string }

// module is one loaded module.
type module struct {
	engines.Module
	key   moduleKey
	users int
	ready chan struct{} // closed when loading ended
	err   error
}

func newModules(r *engines.Registry) *modules {
	return &modules{registry: r, loaded: map[moduleKey]*module{}}
}

// acquire loads the artifact unless it is loaded already. Every acquired module is
// released.
func (m *modules) acquire(ctx context.Context, engine, artifact string) (*module, error) {
	key := moduleKey{engine, artifact}
	m.mu.Lock()
	mod, ok := m.loaded[key]
	if !ok {
		mod = &module{key: key, ready: make(chan struct{})}
		m.loaded[key] = mod
	}
	mod.users++
	m.mu.Unlock()
	if !ok {
		mod.Module, mod.err = m.load(ctx, key)
		close(mod.ready)
	}
	select {
	case <-mod.ready:
	case <-ctx.Done():
		go func() { <-mod.ready; m.release(mod) }() // the loader always finishes
		return nil, ctx.Err()
	}
	if mod.err != nil {
		m.release(mod)
		return nil, mod.err
	}
	return mod, nil
}

func (m *modules) load(ctx context.Context, key moduleKey) (engines.Module, error) {
	e, err := m.registry.Open(ctx, key.engine)
	if err != nil {
		return nil, err
	}
	// Others may be waiting for it when this caller gives up.
	return e.Load(context.WithoutCancel(ctx), key.artifact)
}

func (m *modules) release(mod *module) {
	m.mu.Lock()
	mod.users--
	last := mod.users == 0
	if last {
		delete(m.loaded, mod.key)
	}
	m.mu.Unlock()
	if last && mod.Module != nil {
		if err := mod.Close(); err != nil {
			log.L.WithError(err).WithField("artifact", mod.key.artifact).Warn("cannot close a module")
		}
	}
}
