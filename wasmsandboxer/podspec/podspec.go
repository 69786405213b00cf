package podspec

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// Annotations of a pod or, where containerd passes them on, of a container. On a
// pod "<name>.<container>" speaks for one container and wins over "<name>".
const (
	AnnotationEngine    = "blazar/engine"
	AnnotationListen    = "blazar/listen"
	AnnotationIsolation = "blazar/isolation"
	AnnotationPrepared  = "blazar/prepared"
	AnnotationFirstTier = "blazar/first-tier"
	AnnotationMixed     = "blazar/mixed"
)

// Annotations of others that are understood as hints: they choose where nothing of
// ours does and are passed over where they cannot be followed.
const (
	// AnnotationCrunHandler is crun's choice of a handler.
	AnnotationCrunHandler = "run.oci.handler"
	// AnnotationWasmVariant marks a wasm image for crun.
	AnnotationWasmVariant = "module.wasm.image/variant"
)

// HandlerPrefix starts the names of our runtime handlers; an engine's name behind
// it chooses that engine.
const HandlerPrefix = "blazar-"

// Container is everything that a container's choices depend on.
type Container struct {
	// Name is the container's name in its pod, empty if unknown.
	Name string
	// Annotations are the container's own, Pod those of its pod.
	Annotations, Pod map[string]string
	// RuntimeHandler is the handler the pod asked for.
	RuntimeHandler string
}

// lookup finds an annotation and says where.
func (c *Container) lookup(name string) (value, source string, ok bool) {
	if v, ok := c.Annotations[name]; ok {
		return v, "container annotation " + name, true
	}
	if c.Name != "" {
		own := name + "." + c.Name
		if v, ok := c.Pod[own]; ok {
			return v, "pod annotation " + own, true
		}
	}
	if v, ok := c.Pod[name]; ok {
		return v, "pod annotation " + name, true
	}
	return "", "", false
}

// Isolation reads blazar/isolation: whether the container runs in a process of its
// own rather than on threads of the pod's, and what says so.
func (c *Container) Isolation() (process bool, source string, err error) {
	v, source, ok := c.lookup(AnnotationIsolation)
	switch {
	case !ok, v == "thread":
		return false, source, nil
	case v == "process":
		return true, source, nil
	}
	return false, "", fmt.Errorf("%s: isolation %q is not known; possible: thread, process: %w", source, clip(v), errdefs.ErrInvalidArgument)
}

// Mixed reads blazar/mixed: whether a container of a wasm pod may be one of Linux, and
// what says so.
func (c *Container) Mixed() (allowed bool, source string, err error) {
	v, source, ok := c.lookup(AnnotationMixed)
	switch {
	case !ok, v == "true":
		return true, source, nil
	case v == "false":
		return false, source, nil
	}
	return false, "", fmt.Errorf("%s: %q is neither true nor false: %w", source, clip(v), errdefs.ErrInvalidArgument)
}

// clip keeps hostile values short in messages.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
