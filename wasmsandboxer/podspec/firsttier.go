package podspec

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// Values of blazar/first-tier and of the configuration's wasm.first_tier.
const (
	FirstTierAuto = "auto"
	FirstTierOn   = "on"
	FirstTierOff  = "off"
)

// FirstTierSize is the size of a module, in bytes, from which on it pays to compile it
// twice: below, optimised code is there within a tenth of a second or two.
const FirstTierSize = 512 << 10

// Labels that controllers of Kubernetes give to pods whose containers they want to run
// for ever: DeploymentUniqueLabelKey and ControllerRevisionHashLabelKey of
// k8s.io/api/apps/v1, the latter of StatefulSets and DaemonSets. Jobs have neither.
const (
	labelDeployment = "pod-template-hash"
	labelRevision   = "controller-revision-hash"
)

// Work is what is known of what a guest is started for.
type Work struct {
	// Size is its module's, in bytes.
	Size int64
	// Exec says that it is started in a container that runs already.
	Exec bool
	// Labels are those of the pod.
	Labels map[string]string
}

// FirstTier says whether a guest whose module was never compiled starts on baseline
// code, and why or why not. On it, it stays for its whole life: "auto" has that for
// those that may be expected to end.
func (c *Container) FirstTier(configured string, w Work) (use bool, why string, err error) {
	v, source, ok := c.lookup(AnnotationFirstTier)
	if !ok {
		v, source = configured, "configuration"
	}
	switch v {
	case FirstTierOn, FirstTierOff:
		return v == FirstTierOn, source, nil
	case FirstTierAuto, "":
	default:
		return false, "", fmt.Errorf("%s: first tier %q is not known; possible: %s, %s, %s: %w",
			source, clip(v), FirstTierAuto, FirstTierOn, FirstTierOff, errdefs.ErrInvalidArgument)
	}
	switch listeners, _ := c.Listeners(); { // what is wrong with them is said where they are opened
	case w.Size < FirstTierSize:
		return false, "a small module", nil
	case w.Exec:
		return true, "an exec", nil
	case len(listeners) > 0:
		return false, "a server", nil
	}
	for _, label := range []string{labelDeployment, labelRevision} {
		if _, ok := w.Labels[label]; ok {
			return false, "a pod that is kept running, by its label " + label, nil
		}
	}
	return true, "a large module", nil
}
