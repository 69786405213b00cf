package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Holds says whether a process, by its main thread, is in the group itself, in every
// hierarchy. errdefs.ErrNotFound if there is no such process.
func (g *Group) Holds(pid int) (bool, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("process %d: %w", pid, errdefs.ErrNotFound)
		}
		return false, err
	}
	return holds(string(b), g.b.controllers(), g.state.Path), nil
}

// holds reads /proc/PID/cgroup, cgroups(7). No controller at all means v2.
func holds(text string, controllers []string, path string) bool {
	in := map[string]bool{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			in[strings.TrimPrefix(name, "name=")] = f[2] == path
		}
	}
	if len(controllers) == 0 {
		return in[""]
	}
	for _, c := range controllers {
		if !in[c] {
			return false
		}
	}
	return true
}
