package sandboxtest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/goleak"
)

// leakGrace is how long things may take to go away after the case.
const leakGrace = 5 * time.Second

// footprint is what this process and the harness hold.
type footprint struct {
	processes, files map[string]bool
	descriptors      map[string]int
	goroutines       goleak.Option
}

func (n *node) measure() *footprint {
	n.Helper()
	return &footprint{
		processes:   n.children(),
		files:       n.files(),
		descriptors: n.descriptors(),
		goroutines:  goleak.IgnoreCurrent(),
	}
}

// children are the child processes, adopted orphans among them; those that have
// ended are reaped.
func (n *node) children() map[string]bool {
	n.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	n.must(err)
	children := map[string]bool{}
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for pid := range strings.FieldsSeq(string(data)) {
			children[pid] = true
		}
	}
	return children
}

// reap collects an orphan that has ended, and says whether it did.
func reap(pid string) bool {
	var n int
	if _, err := fmt.Sscan(pid, &n); err != nil {
		return false
	}
	got, err := syscall.Wait4(n, nil, syscall.WNOHANG, nil)
	return err == nil && got == n
}

func (n *node) files() map[string]bool {
	n.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(n.harness.Root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil
		case err != nil:
			return err
		case path == n.dir:
			return filepath.SkipDir
		}
		files[path] = true
		return nil
	})
	n.must(err)
	return files
}

func (n *node) descriptors() map[string]int {
	n.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	n.must(err)
	open := map[string]int{}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // the one that the directory was read with
		}
		// The number of a pipe or socket says nothing.
		kind, _, _ := strings.Cut(to, ":[")
		open[kind]++
	}
	return open
}

// mounts are those below the harness's root or named after a pod.
func (n *node) mounts() []string {
	n.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	n.must(err)
	var found []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, " "+n.harness.Root+"/") || n.names(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func (n *node) names(s string) bool {
	return slices.ContainsFunc(n.ids, func(id string) bool { return strings.Contains(s, id) })
}

func (n *node) cgroups() []string {
	n.Helper()
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && n.names(d.Name()) {
			found = append(found, path)
		}
		return nil // cgroups of others come and go
	})
	n.must(err)
	return found
}

// leaks lists what is there now and was not before.
func (n *node) leaks() []string {
	n.Helper()
	var leaks []string
	for pid := range n.children() {
		if !n.before.processes[pid] && !reap(pid) {
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline") // for people
			leaks = append(leaks, fmt.Sprintf("process %s %q", pid, command))
		}
	}
	for path := range n.files() {
		if !n.before.files[path] {
			leaks = append(leaks, "file "+path)
		}
	}
	for _, m := range n.mounts() {
		leaks = append(leaks, "mount "+m)
	}
	for _, c := range n.cgroups() {
		leaks = append(leaks, "cgroup "+c)
	}
	now := n.descriptors()
	for _, kind := range slices.Sorted(maps.Keys(now)) {
		if now[kind] > n.before.descriptors[kind] {
			leaks = append(leaks, fmt.Sprintf("%d descriptors of %s, %d before", now[kind], kind, n.before.descriptors[kind]))
		}
	}
	if n.harness.Leaks != nil {
		leaks = append(leaks, n.harness.Leaks()...)
	}
	return leaks
}

// checkLeaks fails the case if something stays.
func (n *node) checkLeaks() {
	n.Helper()
	var leaks []string
	for deadline := time.Now().Add(leakGrace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if leaks = n.leaks(); len(leaks) == 0 {
			break
		}
	}
	for _, l := range leaks {
		n.Errorf("left behind: %s", l)
	}
	if err := goleak.Find(n.before.goroutines); err != nil {
		n.Errorf("left behind: %v", err)
	}
}
