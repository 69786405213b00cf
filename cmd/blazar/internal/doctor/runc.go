package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// oldestRunc is the first release that opens the sources of mounts before it enters a
// user namespace.
var oldestRunc = release{1, 1}

// runcKind is the kind that needs an OCI runtime.
const runcKind = "runc"

// servesLinux says whether the daemon is configured for Linux containers.
func (h *Host) servesLinux() bool { _, ok := h.Sockets[runcKind]; return ok }

// checkRunc asks the OCI runtime for its version.
func checkRunc(ctx context.Context, h *Host) []Result {
	const (
		name   = "runc"
		remedy = "install runc (package runc) or crun, or name it in the configuration, [runc] binary"
	)
	if !h.servesLinux() {
		return ok(name, "not needed: the kind runc is not served")
	}
	path := h.Runc
	if !strings.Contains(path, "/") {
		var err error
		if path, err = exec.LookPath(h.Runc); err != nil {
			return fail(name, h.Runc+" is not in PATH", remedy)
		}
	}
	if path = h.path(path); !filepath.IsAbs(path) {
		return fail(name, fmt.Sprintf("%q is no absolute path", path), remedy)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fail(name, fmt.Sprintf("%s --version: %v", path, err), remedy)
	}
	return runtimeRelease(name, path, string(out))
}

// versionLine is the first line of `runc --version` and `crun --version`.
var versionLine = regexp.MustCompile(`^(runc|crun) version (\S+)`)

// runtimeRelease judges what the runtime says of itself.
func runtimeRelease(name, path, out string) []Result {
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		return warn(name, path+" is neither runc nor crun", "use runc or crun: others are not tested")
	}
	found := path + ", " + m[0]
	v, known := parseRelease(m[2])
	switch {
	case m[1] == "runc" && !known:
		return warn(name, found, "make sure that it is "+oldestRunc.String()+" or newer")
	case m[1] == "runc" && !v.atLeast(oldestRunc.major, oldestRunc.minor):
		return fail(name, found+" is too old", "upgrade it to "+oldestRunc.String()+" or newer")
	case m[1] == "runc" && !strings.Contains(out, "libseccomp"), m[1] == "crun" && !strings.Contains(out, "+SECCOMP"):
		return warn(name, found+", built without seccomp", "install one with it: containers of a kubelet ask for it")
	}
	return ok(name, found)
}

// checkReaper looks at the program that holds shared pid namespaces.
func checkReaper(_ context.Context, h *Host) []Result {
	const name = "pod-reaper"
	switch {
	case !h.servesLinux():
		return ok(name, "not needed: the kind runc is not served")
	case !h.executable(h.Reaper):
		return warn(name, h.Reaper+" is no executable file: pods that share pids, or have a user namespace, do not start",
			"run `make build` and `blazar install`, or name the binary in the configuration, [runc] reaper")
	}
	return ok(name, h.Reaper)
}
