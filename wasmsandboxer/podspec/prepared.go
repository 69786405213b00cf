package podspec

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// CheckPrepared refuses a pod whose AnnotationPrepared is neither true nor false: who
// misspells it would get the network namespace that he meant to do without.
func CheckPrepared(annotations map[string]string) error {
	switch v, ok := annotations[AnnotationPrepared]; {
	case !ok, v == "true", v == "false":
		return nil
	default:
		return fmt.Errorf("annotation %s is %q, not \"true\" or \"false\": %w", AnnotationPrepared, clip(v), errdefs.ErrInvalidArgument)
	}
}
