package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// nodeCgroup is the cgroup of a node: <name>/node holds the processes that the node
// starts, and those that they start; <name>/pods is the parent of the pods' cgroups.
// On a cgroup v1 host one hierarchy is enough to find every process again; the
// others get a cgroup of that name from whoever runs the pods.
type nodeCgroup struct {
	name string
	// home is the root of the hierarchy by which processes are found.
	home string
	// roots are those of all hierarchies.
	roots []string
}

// findCgroup returns the cgroup of the node called name, whether it exists or not.
func findCgroup(name string) *nodeCgroup {
	c := &nodeCgroup{name: name}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return c
	}
	for _, m := range mounts {
		if !slices.Contains(c.roots, m.Mountpoint) {
			c.roots = append(c.roots, m.Mountpoint)
		}
		v1 := m.FSType == "cgroup"
		switch {
		case v1 && slices.Contains(strings.Split(m.VFSOptions, ","), "pids"):
			c.home = m.Mountpoint
		case c.home == "" || v1 && strings.HasSuffix(c.home, "unified"):
			c.home = m.Mountpoint
		}
	}
	return c
}

func makeCgroup(name string) (*nodeCgroup, error) {
	c := findCgroup(name)
	if c.home == "" {
		return nil, errors.New("no cgroup hierarchy is mounted")
	}
	controllers, err := os.ReadFile(filepath.Join(c.home, "cgroup.controllers"))
	v2 := err == nil
	if err := os.Mkdir(filepath.Join(c.home, name), 0o755); err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	for _, sub := range []string{"node", "pods"} {
		if err := os.Mkdir(filepath.Join(c.home, name, sub), 0o755); err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
	}
	if v2 {
		for _, dir := range []string{"", name, name + "/pods"} {
			file := filepath.Join(c.home, dir, "cgroup.subtree_control")
			for controller := range strings.FieldsSeq(string(controllers)) {
				// One that cannot be had here is missed by whoever limits it.
				_ = os.WriteFile(file, []byte("+"+controller), 0)
			}
		}
		return c, nil
	}
	for _, root := range c.roots {
		if err := makeParent(root, name); err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
	}
	return c, nil
}

// makeParent makes the parent of the pods' cgroups in a hierarchy of v1; a cpuset has no
// CPUs until it is given some.
func makeParent(root, name string) error {
	at := root
	for _, sub := range []string{name, "pods"} {
		above := at
		at = filepath.Join(at, sub)
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			b, err := os.ReadFile(filepath.Join(above, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(at, file), b, 0)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// procs is the file to which a process writes itself to join the node.
func (c *nodeCgroup) procs() string {
	return filepath.Join(c.home, c.name, "node", "cgroup.procs")
}

// pids are the processes of the node and its pods.
func (c *nodeCgroup) pids() []int {
	var pids []int
	_ = filepath.WalkDir(filepath.Join(c.home, c.name), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // a cgroup that has just gone
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// holds says whether a process is in the node's cgroup.
func (c *nodeCgroup) holds(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && strings.Contains(string(b), ":/"+c.name+"/")
}

// pods lists the cgroups below the pods' parent in every hierarchy.
func (c *nodeCgroup) pods() []string {
	var found []string
	for _, root := range c.roots {
		base := filepath.Join(root, c.name, "pods")
		_ = filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && path != base {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// remove removes the cgroups of the node, which has no process any more.
func (c *nodeCgroup) remove() error {
	var errs []error
	for _, root := range c.roots {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(root, c.name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		slices.Reverse(dirs) // children first
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
