//go:build !(cgo && linux && amd64)

// Package wasmedge runs modules on WasmEdge; this build cannot.
package wasmedge

import (
	"context"
	"fmt"

	"blazar/engines"

	"github.com/containerd/errdefs"
)

// Name is the engine's name in annotations.
const Name = "wasmedge"

// New fails: the engine needs cgo and knows the signal frames and stacks of one
// architecture.
func New(context.Context) (engines.Engine, error) {
	return nil, fmt.Errorf("the engine wasmedge is for builds with cgo for linux/amd64, and this is none; choose another engine: %w", errdefs.ErrUnavailable)
}
