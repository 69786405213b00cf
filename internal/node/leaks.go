package node

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// leakGrace is how long the last remains of a removed pod may take to go: containerd
// runs shims after it has answered.
const leakGrace = 10 * time.Second

// Leaks lists what is left of removed pods while the node runs without any: processes,
// mounts, cgroups, interfaces, addresses, network namespaces, files. It waits a
// moment for what is about to go; nil means that nothing is left but what is known.
func (n *Node) Leaks(ctx context.Context, known ...string) ([]string, error) {
	deadline := time.Now().Add(leakGrace)
	for {
		left, err := n.Traces()
		left = slices.DeleteFunc(left, func(l string) bool { return slices.Contains(known, l) })
		if err != nil || len(left) == 0 || time.Now().After(deadline) {
			return left, err
		}
		select {
		case <-ctx.Done():
			return left, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Traces lists what there is of pods at this moment, in the same words.
func (n *Node) Traces() ([]string, error) {
	var left []string
	add := func(what string, items ...string) {
		for _, item := range items {
			left = append(left, what+" "+item)
		}
	}
	own := []int{n.ServePid(), n.TaskdPid(), n.ContainerdPid()}
	add("process", names(slices.DeleteFunc(n.cgroup.pids(), func(pid int) bool { return slices.Contains(own, pid) || n.compiles(pid) }))...)
	idle, err := n.prepared()
	if err != nil {
		return nil, err
	}
	if odd := idle.odd(); odd != "" {
		add("processes:", odd)
	}
	mounts, err := mountsBelow(n.Dir)
	if err != nil {
		return nil, err
	}
	add("mount", slices.DeleteFunc(mounts, func(m string) bool { return slices.Contains(n.volatile(), m) || idle.has(m) })...)
	add("cgroup", n.cgroup.pods()...)
	ports, err := n.state.Network.ports()
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		add("interface", p.Attrs().Name)
	}
	results, err := n.state.Network.results()
	if err != nil {
		return nil, err
	}
	add("CNI result", results...)
	for _, pattern := range n.podFiles() {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		add("file", found...)
	}
	files, err := n.blazarFiles()
	if err != nil {
		return nil, err
	}
	last := ""
	for _, f := range files {
		// What is below something that is left says nothing new.
		if !slices.Contains(n.baseline, f) && !idle.has(f) && (last == "" || !strings.HasPrefix(f, last+"/")) {
			add("file", f)
			last = f
		}
	}
	return left, nil
}

// podFiles are where containerd, its shims and CNI keep something for each pod.
func (n *Node) podFiles() []string {
	return []string{
		n.path("state", "io.containerd.runtime.v2.task", "k8s.io", "*"),
		n.path("containerd", "io.containerd.runtime.v2.task", "k8s.io", "*"),
		n.path("state", "io.containerd.grpc.v1.cri", "sandboxes", "*"),
		n.path("state", "io.containerd.grpc.v1.cri", "containers", "*"),
		n.path("containerd", "io.containerd.grpc.v1.cri", "sandboxes", "*"),
		n.path("containerd", "io.containerd.grpc.v1.cri", "containers", "*"),
		n.path("containerd", "io.containerd.sandbox.controller.v1.shim", "*"),
		n.path("state", "io.containerd.grpc.v1.cri", "netns", "*"),
		n.path("cni-data", "*", "10.*"),
		n.path("run", "runc", "*", "*"),
	}
}

// blazarFiles are those of blazar serve on the volatile side; what it has there before
// the first pod is no leak.
func (n *Node) blazarFiles() ([]string, error) {
	var files []string
	err := filepath.WalkDir(n.path("run", "blazar"), func(path string, _ fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		files = append(files, path)
		return err
	})
	return files, err
}

// Descriptors counts the open descriptors of a process.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// Processes describes the processes of the node's pods.
func (n *Node) Processes() string { return strings.Join(names(n.cgroup.pids()), "\n") }
