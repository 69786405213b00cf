package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What the drop-in of `blazar install` says in every runtime entry.
const (
	handlerPrefix     = "blazar-"
	runtimeType       = "io.containerd.blazar.v1"
	annotationsOfOurs = "blazar/*"
)

// checkRuntimes looks at the runtime handlers, in the daemon where it answers,
// else in its files.
func checkRuntimes(_ context.Context, h *Host) []Result {
	const name = "runtimes"
	runtimes, sandboxers, live := h.runtimes()
	if runtimes == nil {
		return fail(name, "containerd's configuration is unknown", fileRemedy(h))
	}
	var results []Result
	for _, handler := range slices.Sorted(maps.Keys(runtimes)) {
		if strings.HasPrefix(handler, handlerPrefix) {
			results = append(results, h.checkRuntime(handler, runtimes[handler], sandboxers))
		}
	}
	if len(results) > 0 {
		return results
	}
	if live && h.File != nil && hasHandler(h.File.Runtimes) {
		return fail(name, "containerd has none of Blazar's, its files have", "restart containerd: it reads its configuration only at start")
	}
	return fail(name, "none of Blazar's is configured", "run `blazar install`, then restart containerd")
}

func (h *Host) checkRuntime(handler string, r Runtime, sandboxers []string) Result {
	name := "runtime " + handler
	switch {
	case r.Sandboxer == "" || r.Sandboxer == "podsandbox" || r.Sandboxer == "shim":
		return Result{Fail, name, fmt.Sprintf("sandboxer is %q", r.Sandboxer), "set sandboxer to the name of Blazar's proxy plugin: containerd would start a shim instead"}
	case !slices.Contains(sandboxers, r.Sandboxer):
		return Result{Fail, name, fmt.Sprintf("sandboxer %q is no proxy plugin of type sandbox", r.Sandboxer), fmt.Sprintf("add [proxy_plugins.%s] with type = \"sandbox\" and the socket of `blazar serve`, restart containerd", r.Sandboxer)}
	case r.Path == "" && r.Type != runtimeType:
		return Result{Fail, name, fmt.Sprintf("runtime_type is %q", r.Type), "set it to " + runtimeType}
	case slices.Contains(r.PodAnnotations, annotationsOfOurs):
		return Result{Warn, name, "annotations of the pod arrive as those of its containers", fmt.Sprintf("take %q out of pod_annotations: what a pod says of one container would lose against what it says of all", annotationsOfOurs)}
	case !slices.Contains(r.ContainerAnnotations, annotationsOfOurs):
		return Result{Warn, name, "annotations of containers do not arrive", fmt.Sprintf("add container_annotations = [%q]", annotationsOfOurs)}
	case !r.DisablePauseImagePull && h.knowsDisablePause():
		return Result{Warn, name, "pulls a pause image that no pod needs", "set disable_pause_image_pull = true"}
	}
	return Result{OK, name, "sandboxer " + r.Sandboxer, ""}
}

// runtimes returns the handlers and the sandboxers, and whether the daemon said so.
func (h *Host) runtimes() (runtimes map[string]Runtime, sandboxers []string, live bool) {
	if h.Containerd != nil && h.Containerd.CRI != nil {
		runtimes = h.Containerd.CRI.Containerd.Runtimes
		if runtimes == nil {
			runtimes = map[string]Runtime{}
		}
		return runtimes, h.Containerd.Sandboxers, true
	}
	if h.File != nil {
		return h.File.Runtimes, slices.Collect(maps.Keys(h.File.Sandboxers)), false
	}
	return nil, nil, false
}

func (h *Host) knowsDisablePause() bool {
	if h.Containerd == nil {
		return true
	}
	v, known := parseRelease(h.Containerd.Version)
	return !known || v.atLeast(targetContainerd.major, targetContainerd.minor)
}

func hasHandler(runtimes map[string]Runtime) bool {
	for name := range runtimes {
		if strings.HasPrefix(name, handlerPrefix) {
			return true
		}
	}
	return false
}

// fileRemedy says why the configuration file was not read.
func fileRemedy(h *Host) string {
	if h.FileErr != nil {
		return h.FileErr.Error() + "; `blazar install` writes what is needed"
	}
	return "run `blazar install`, then restart containerd"
}
