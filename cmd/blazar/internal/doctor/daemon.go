package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Releases of containerd: the oldest that works, the one the project is tested
// with, and the first without a pause image for sandboxers.
var (
	oldestContainerd = release{2, 3}
	targetContainerd = release{2, 4}
)

func checkContainerd(_ context.Context, h *Host) []Result {
	const name = "containerd"
	if h.Containerd == nil {
		remedy := "start containerd, or name its socket with --containerd"
		if errors.Is(h.ContainerdErr, fs.ErrPermission) {
			remedy = "run as root"
		}
		return fail(name, fmt.Sprintf("%s: %v", h.ContainerdAddress, h.ContainerdErr), remedy)
	}
	c := h.Containerd
	v, known := parseRelease(c.Version)
	results := []Result{{OK, name, "version " + c.Version, ""}}
	switch {
	case !known:
		results[0] = Result{Warn, name, fmt.Sprintf("version %q is unreadable", c.Version), fmt.Sprintf("make sure that it is %s or newer", oldestContainerd)}
	case !v.atLeast(oldestContainerd.major, oldestContainerd.minor):
		results[0] = Result{Fail, name, "version " + c.Version + " is too old", fmt.Sprintf("upgrade to %s, %s at least", targetContainerd, oldestContainerd)}
	case !v.atLeast(targetContainerd.major, targetContainerd.minor):
		results[0] = Result{Warn, name, "version " + c.Version, fmt.Sprintf("%s is what Blazar is tested with; here every pod pulls the pause image first", targetContainerd)}
	}
	if c.CRIErr != nil {
		results = append(results, Result{Fail, "cri", c.CRIErr.Error(), "take io.containerd.grpc.v1.cri out of disabled_plugins and look into containerd's log"})
	} else {
		results = append(results, Result{OK, "cri", "answers", ""})
	}
	return results
}
