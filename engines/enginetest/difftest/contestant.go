package difftest

import (
	"context"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/engines"
)

// Contestant is one way of running a module.
type Contestant struct {
	Name string
	// load takes an empty directory for an artifact.
	load func(ctx context.Context, module []byte, dir string) (engines.Module, error)
}

// Contestants are the engines of a registry, and the baseline engines and interpreters that some of them
// bring. An engine whose library this process has not is left out, and the log says so.
func Contestants(t testing.TB, r *engines.Registry) []Contestant {
	t.Helper()
	var all []Contestant
	for _, name := range r.Names() {
		e, err := r.Open(t.Context(), name)
		if errdefs.IsNotFound(err) || errdefs.IsUnavailable(err) {
			t.Logf("engine %s does not take part: %v", name, err)
			continue
		}
		if err != nil {
			t.Fatalf("engine %s: %v", name, err)
		}
		all = append(all, compiled(name, e))
		if tiers, ok := e.(engines.Tiered); ok {
			switch b, err := tiers.Baseline(); {
			case err == nil:
				all = append(all, compiled(b.Info().Name, b))
			case !errdefs.IsNotImplemented(err):
				t.Fatalf("engine %s: %v", name, err)
			}
		}
		if i, ok := e.(engines.Interpreter); ok {
			all = append(all, Contestant{name + "'s interpreter", func(ctx context.Context, module []byte, _ string) (engines.Module, error) {
				return i.Interpret(ctx, module)
			}})
		}
	}
	return all
}

func compiled(name string, e engines.Engine) Contestant {
	return Contestant{name, func(ctx context.Context, module []byte, dir string) (engines.Module, error) {
		if err := e.Compile(ctx, module, dir); err != nil {
			return nil, fmt.Errorf("compile: %w", err)
		}
		return e.Load(ctx, dir)
	}}
}
