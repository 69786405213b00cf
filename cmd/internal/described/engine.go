package described

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"blazar/engines"
)

// engine is an engine that other processes run.
type engine struct{ info engines.Info }

var (
	_ engines.Engine = engine{}
	_ engines.Tiered = tiered{}
)

// Info implements engines.Engine.
func (e engine) Info() engines.Info { return e.info }

// Compile implements engines.Engine; it fails.
func (e engine) Compile(context.Context, []byte, string) error { return e.elsewhere() }

// Load implements engines.Engine; it fails.
func (e engine) Load(context.Context, string) (engines.Module, error) { return nil, e.elsewhere() }

func (e engine) elsewhere() error {
	return fmt.Errorf("the engine %s is not in this process, only in those that compile or run modules: %w", e.info.Name, errdefs.ErrFailedPrecondition)
}

// tiered is one that has a baseline engine.
type tiered struct {
	engine
	baseline engine
}

// Baseline implements engines.Tiered.
func (t tiered) Baseline() (engines.Engine, error) { return t.baseline, nil }
