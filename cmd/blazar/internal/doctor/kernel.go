package doctor

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// Feature is something that the kernel must be tried for.
type Feature string

// The features that confinement is built from; see docs/confinement.md.
const (
	OpenAt2     Feature = "openat2"
	PidFD       Feature = "pidfd_open"
	CloseRange  Feature = "close_range"
	MountAPI    Feature = "new mount API"
	UserNS      Feature = "user namespaces"
	IdmapMount  Feature = "idmapped mounts"
	IdmapLayers Feature = "idmapped layers"
)

// kernelFeatures says of each feature since when there is one, and what its
// absence means. weaker is set where pods can do without, if they may.
var kernelFeatures = []struct {
	feature Feature
	since   string
	weaker  bool
	remedy  string
}{
	{OpenAt2, "5.6", false, "paths of containers cannot be resolved safely"},
	{PidFD, "5.3", false, "processes cannot be watched without races"},
	{CloseRange, "5.9", false, "wasm-task cannot close what it inherits"},
	{MountAPI, "5.12", false, "mounts cannot be born read-only"},
	{UserNS, "3.8", true, "nothing can be idmapped without one (sysctl user.max_user_namespaces)"},
	{IdmapMount, "5.12", true, "on this file system the files of an image do not become the pod's"},
	{IdmapLayers, "5.19", true, "the layers of an image cannot be mapped to the pod's uid"},
}

func checkKernel(_ context.Context, h *Host) []Result {
	var results []Result
	if b, err := h.read("/proc/sys/kernel/osrelease"); err == nil {
		results = append(results, Result{OK, "kernel", strings.TrimSpace(string(b)), ""})
	}
	for _, f := range kernelFeatures {
		name := "kernel: " + string(f.feature)
		err := h.Kernel.Try(f.feature)
		switch {
		case err == nil:
			results = append(results, Result{OK, name, "works", ""})
		case h.Euid != 0 && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)):
			results = append(results, Result{Warn, name, "cannot be tried without root", "run as root"})
		case f.weaker && h.Strict:
			results = append(results, Result{Fail, name, err.Error(), "kernel " + f.since + " or newer: " + f.remedy + `; or wasm.confinement = "best-effort" in the configuration, which is weaker`})
		case f.weaker:
			results = append(results, Result{Warn, name, err.Error(), "kernel " + f.since + " or newer: " + f.remedy + "; pods run, more weakly confined"})
		default:
			results = append(results, Result{Fail, name, err.Error(), "kernel " + f.since + " or newer: " + f.remedy})
		}
	}
	return results
}
