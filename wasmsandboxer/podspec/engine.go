package podspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// Choice is an engine and why it was chosen.
type Choice struct {
	Engine string
	Reason string
}

// Engine chooses: container annotation, pod annotation, runtime handler, another
// runtime's hint, configuration (configured, may be empty), and then the first of
// available, which is in order of preference. A demand for an engine that is not
// available fails and lists those that are; a hint is passed over.
func (c *Container) Engine(configured string, available []string) (Choice, error) {
	if v, source, ok := c.lookup(AnnotationEngine); ok {
		return demand(v, source, available)
	}
	if name, ok := handlerEngine(c.RuntimeHandler); ok {
		return demand(name, "runtime handler "+c.RuntimeHandler, available)
	}
	if v, source, ok := c.lookup(AnnotationCrunHandler); ok && slices.Contains(available, v) {
		return Choice{Engine: v, Reason: source}, nil
	}
	if configured != "" {
		return demand(configured, "configuration", available)
	}
	if len(available) == 0 {
		return Choice{}, fmt.Errorf("no engine is built in: %w", errdefs.ErrNotImplemented)
	}
	return Choice{Engine: available[0], Reason: "first of the engines available"}, nil
}

// Wanted says whether a container of a pod may get the engine without an annotation of
// its own: what is known when the pod starts.
func Wanted(engine string, pod map[string]string, handler, configured string, available []string) bool {
	c := Container{Pod: pod, RuntimeHandler: handler}
	if choice, err := c.Engine(configured, available); err == nil && choice.Engine == engine {
		return true
	}
	for key, value := range pod {
		if value == engine && (strings.HasPrefix(key, AnnotationEngine+".") || strings.HasPrefix(key, AnnotationCrunHandler+".")) {
			return true
		}
	}
	return false
}

func demand(name, source string, available []string) (Choice, error) {
	if !slices.Contains(available, name) {
		return Choice{}, fmt.Errorf("%s: engine %q is not available; possible: %s: %w",
			source, clip(name), strings.Join(available, ", "), errdefs.ErrInvalidArgument)
	}
	return Choice{Engine: name, Reason: source}, nil
}

// engineNames are the engines that a runtime handler may name, whether built in
// or not: a handler for an engine that is missing must not run another.
var engineNames = []string{"wazero", "wasmtime", "wasmedge"}

func handlerEngine(handler string) (string, bool) {
	name, ok := strings.CutPrefix(handler, HandlerPrefix)
	return name, ok && slices.Contains(engineNames, name)
}
