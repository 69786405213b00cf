package doctor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// neededControllers are those whose limits a pod's resources are translated to.
var neededControllers = []string{"cpu", "memory", "pids"}

func checkCgroups(_ context.Context, h *Host) []Result {
	const name = "cgroups"
	table, err := h.read("/proc/self/mountinfo")
	if err != nil {
		return fail(name, err.Error(), "mount /proc")
	}
	v1, v2 := cgroupMounts(table)
	var (
		mode string
		have []string
	)
	switch {
	case len(v1) > 0:
		mode, have = "v1", v1
		if v2 != "" {
			mode = "v1 (hybrid, v2 at " + v2 + ")"
		}
	case v2 != "":
		mode = "v2"
		b, err := h.read(filepath.Join(v2, "cgroup.controllers"))
		if err != nil {
			return fail(name, err.Error(), "mount cgroup2 at /sys/fs/cgroup")
		}
		have = strings.Fields(string(b))
	default:
		return fail(name, "no hierarchy is mounted", "mount cgroup2 at /sys/fs/cgroup")
	}
	var missing []string
	for _, c := range neededControllers {
		if !slices.Contains(have, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return fail(name, fmt.Sprintf("%s without %s", mode, strings.Join(missing, ", ")),
			"enable the controllers: pods' limits depend on them (kernel command line cgroup_enable=memory; on v2 +controller in cgroup.subtree_control)")
	}
	return ok(name, mode+" with "+strings.Join(neededControllers, ", "))
}

// cgroupMounts reads a mountinfo table: the controllers of all v1 hierarchies,
// and the first mount point of v2.
func cgroupMounts(table []byte) (v1 []string, v2 string) {
	for s := bufio.NewScanner(bytes.NewReader(table)); s.Scan(); {
		left, right, ok := strings.Cut(s.Text(), " - ")
		mount, fs := strings.Fields(left), strings.Fields(right)
		if !ok || len(mount) < 5 || len(fs) < 3 {
			continue
		}
		switch fs[0] {
		case "cgroup":
			v1 = append(v1, strings.Split(fs[2], ",")...)
		case "cgroup2":
			if v2 == "" {
				v2 = mount[4]
			}
		}
	}
	return v1, v2
}
