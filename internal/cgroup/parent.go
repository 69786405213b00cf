package cgroup

import (
	"path"
	"strings"
)

// Parent is the group that a cgroup parent of CRI's is, as Create takes it: somebody
// else's, to be measured. It need not exist yet. It is not to be deleted.
func Parent(parent string) (*Group, error) {
	dir, _, err := parentPath(parent)
	if err != nil {
		return nil, err
	}
	return thisHost().group(State{Path: dir}), nil
}

// Exists says whether there is such a group in one of the hierarchies.
func (g *Group) Exists() bool { return g.exists() }

// OfContainer is the group that a specification's cgroupsPath names: a path, as of the
// cgroupfs driver, or slice:prefix:name, as of the systemd driver, where the group is
// the scope prefix-name.scope in the slice. It need not exist.
func OfContainer(cgroupsPath string) (*Group, error) {
	s, err := containerState(cgroupsPath)
	if err != nil {
		return nil, err
	}
	return thisHost().group(s), nil
}

func containerState(cgroupsPath string) (State, error) {
	parts := strings.Split(cgroupsPath, ":")
	if len(parts) != 3 {
		p := path.Clean("/" + cgroupsPath)
		return State{Path: p}, checkPath(p)
	}
	dir, err := slicePath(parts[0])
	if err != nil {
		return State{}, err
	}
	scope := parts[1] + "-" + parts[2] + ".scope"
	if err := checkName(scope); err != nil {
		return State{}, err
	}
	p := path.Join(dir, scope)
	return State{Path: p}, checkPath(p)
}
