package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
)

// parentPath is the directory of a cgroup parent; slice is its name if it is a
// systemd slice.
func parentPath(parent string) (dir, slice string, err error) {
	if parent == "" {
		parent = "/"
	}
	if base := path.Base(parent); strings.HasSuffix(base, ".slice") {
		// Usually the name alone; a path of slices says the same twice.
		dir, err := slicePath(base)
		return dir, base, err
	}
	dir = path.Clean("/" + parent)
	return dir, "", checkPath(dir)
}

// slicePath expands a slice's name as systemd does (systemd.slice(5)):
// a-b.slice lies in /a.slice/a-b.slice.
func slicePath(slice string) (string, error) {
	name := strings.TrimSuffix(slice, ".slice")
	if name == "-" {
		return "/", nil // the root slice
	}
	dir := "/"
	for i := range name {
		if name[i] == '-' {
			if i == 0 || name[i-1] == '-' {
				return "", fmt.Errorf("cgroup parent %q is no systemd slice: %w", slice, errdefs.ErrInvalidArgument)
			}
			dir = path.Join(dir, name[:i]+".slice")
		}
	}
	dir = path.Join(dir, slice)
	if name == "" || strings.HasSuffix(name, "-") {
		return "", fmt.Errorf("cgroup parent %q is no systemd slice: %w", slice, errdefs.ErrInvalidArgument)
	}
	return dir, checkPath(dir)
}

// checkPath refuses what is no clean absolute path of printable characters.
func checkPath(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || len(p) > 4000 || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 127 }) {
		return fmt.Errorf("cgroup path %q: %w", p, errdefs.ErrInvalidArgument)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") || len(name) > 255-len(".scope") {
		return fmt.Errorf("cgroup name %q: %w", name, errdefs.ErrInvalidArgument)
	}
	return checkPath("/" + name)
}

// missingParents are the directories above dirs, each of which ends in p, that do
// not exist: uppermost first.
func missingParents(dirs []string, p string) []string {
	var out []string
	for _, d := range dirs {
		root := strings.TrimSuffix(d, p)
		var missing []string
		for d = path.Dir(d); len(d) > len(root); d = path.Dir(d) {
			if _, err := os.Lstat(d); !errors.Is(err, os.ErrNotExist) {
				break
			}
			missing = append(missing, d)
		}
		for i := len(missing) - 1; i >= 0; i-- {
			out = append(out, missing[i])
		}
	}
	return out
}
