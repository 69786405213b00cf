package host

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"blazar/engines"
	"blazar/internal/wasmedgelib"
	"blazar/wasmsandboxer/podspec"
)

// Possible names the engines that a wasm-task can run, with libwasmedge or without, the
// preferred one first.
func (n *Node) Possible(wasmedge bool) []string {
	return slices.DeleteFunc(n.Engines.Names(), func(name string) bool { return name == wasmedgelib.Engine && !wasmedge })
}

// engine chooses the container's engine, and says why.
func (s *Service) engine(ctx context.Context, rec *Container) (podspec.Choice, engines.Engine, error) {
	c := s.choices(rec)
	choice, err := c.Engine(s.node.DefaultEngine, s.node.Possible(s.pod.WasmEdge))
	lacking := false
	if err != nil && !s.pod.WasmEdge {
		// Demanded may be what another pod could do.
		if choice, err = c.Engine(s.node.DefaultEngine, s.node.Possible(true)); err == nil {
			lacking = true
		}
	}
	if err != nil {
		return choice, nil, err
	}
	e, err := s.node.Engines.Open(ctx, choice.Engine)
	if err == nil && lacking {
		err = fmt.Errorf("%s: engine %s has to be known when the pod starts, and this pod was started without it; have the pod say so, with the annotation %s.%s: %s: %w",
			choice.Reason, choice.Engine, podspec.AnnotationEngine, cmp.Or(c.Name, "CONTAINER"), choice.Engine, errdefs.ErrFailedPrecondition)
	}
	return choice, e, err
}
