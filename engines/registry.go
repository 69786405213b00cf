package engines

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
)

// Factory makes an engine. It is called at most once per process and may fail
// when a library is missing; the error then says how to get it.
type Factory func(ctx context.Context) (Engine, error)

// Registry holds the engines a binary was built with. The zero value is empty
// and ready. Safe for concurrent use.
type Registry struct {
	mu      sync.Mutex // guards the fields below
	names   []string   // in order of preference, best first
	entries map[string]*entry
}

type entry struct {
	once   sync.Once
	make   Factory
	engine Engine
	err    error
}

// Register adds an engine behind those already there in order of preference.
// A name is registered once; a second time replaces nothing and panics, since it
// is a mistake of the program, not of its user.
func (r *Registry) Register(name string, f Factory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.entries[name]; ok {
		panic("engine registered twice: " + name)
	}
	if r.entries == nil {
		r.entries = map[string]*entry{}
	}
	r.names = append(r.names, name)
	r.entries[name] = &entry{make: f}
}

// Names lists the registered engines, the preferred one first.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.names)
}

// Open returns the engine of that name, made at the first call. An unknown name
// is errdefs.ErrInvalidArgument and lists the known ones; the baseline engine of one
// that has none is errdefs.ErrNotImplemented.
func (r *Registry) Open(ctx context.Context, name string) (Engine, error) {
	base, isBaseline := strings.CutSuffix(name, BaselineSuffix)
	e, err := r.open(ctx, base)
	if !isBaseline || err != nil {
		return e, err
	}
	t, ok := e.(Tiered)
	if !ok {
		return nil, fmt.Errorf("engine %s has no baseline compiler: %w", base, errdefs.ErrNotImplemented)
	}
	return t.Baseline()
}

func (r *Registry) open(ctx context.Context, name string) (Engine, error) {
	r.mu.Lock()
	e, ok := r.entries[name]
	names := strings.Join(r.names, ", ")
	r.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("engine %q is not built in; possible: %s: %w", name, names, errdefs.ErrInvalidArgument)
	}
	e.once.Do(func() { e.engine, e.err = e.make(ctx) })
	return e.engine, e.err
}
