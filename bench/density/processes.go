package density

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// group is a sort of processes of a node.
type group string

// The groups. Pods are the processes that are in pods' own cgroups: wasm-task, pause,
// the containers' programs.
const (
	podProcesses group = "pods"
	serve        group = "blazar serve"
	taskd        group = "blazar taskd"
	containerd   group = "containerd"
	shims        group = "shims"
	others       group = "others"
)

// daemons are the groups that manage pods.
var daemons = []group{serve, taskd, shims, containerd}

// usage is what the processes of each group hold, and how many there are.
type usage struct {
	memory map[group]memory
	count  map[group]int
}

// usageOf looks at all processes of a node: those in the cgroup called name, or below.
func usageOf(name string) (*usage, error) {
	u := &usage{memory: map[group]memory{}, count: map[group]int{}}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		g, ok, err := groupOf(dir, name)
		var m memory
		if err == nil && ok {
			m, err = memoryOf(pid)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH): // has ended
		case err != nil:
			return nil, fmt.Errorf("process %d: %w", pid, err)
		case ok:
			u.memory[g] = u.memory[g].plus(m)
			u.count[g]++
		}
	}
	return u, nil
}

// groupOf says whether the process belongs to the node, and what it is.
func groupOf(dir, name string) (group, bool, error) {
	cgroups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return "", false, err
	}
	belongs, pod := within(string(cgroups), name)
	if !belongs {
		return "", false, nil
	}
	args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return "", false, err
	}
	return classify(strings.Split(strings.TrimRight(string(args), "\x00"), "\x00"), pod), true, nil
}

// within says whether any of the cgroups of a process, as /proc/PID/cgroup has them
// (cgroups(7)), is name or below it, and whether any is below name/pods.
func within(cgroups, name string) (belongs, pod bool) {
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		path := parts[2]
		belongs = belongs || path == "/"+name || strings.HasPrefix(path, "/"+name+"/")
		pod = pod || strings.HasPrefix(path, "/"+name+"/pods/")
	}
	return belongs, pod
}

// classify knows the daemons by their command lines.
func classify(args []string, pod bool) group {
	program := filepath.Base(args[0])
	switch {
	case pod && !strings.HasPrefix(program, "containerd-shim-"):
		return podProcesses
	// Prepared for a pod to come, and no daemon either.
	case program == "wasm-task", slices.Contains(args, "wasm-task"), program == "pod-reaper":
		return podProcesses
	case strings.HasPrefix(program, "blazar") && len(args) > 1 && args[1] == "serve":
		return serve
	case strings.HasPrefix(program, "blazar") && len(args) > 1 && args[1] == "taskd":
		return taskd
	case program == "containerd":
		return containerd
	case strings.HasPrefix(program, "containerd-shim-"):
		return shims
	}
	return others
}
