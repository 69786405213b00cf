package cgroup

import (
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Mode is what a host has cgroups of.
type Mode int

const (
	// V1 hosts have a hierarchy per controller.
	V1 Mode = iota + 1
	// V2 hosts have one hierarchy.
	V2
	// Hybrid hosts have v1 controllers and v2 beside them: pods are managed as on V1.
	Hybrid
)

// String names the mode for people.
func (m Mode) String() string {
	switch m {
	case V1:
		return "v1"
	case V2:
		return "v2"
	case Hybrid:
		return "hybrid"
	}
	return "none"
}

// HostMode is the mode of this host; 0 if no cgroups are mounted.
func HostMode() Mode { return thisHost().mode }

// host is where cgroups are.
type host struct {
	mode Mode
	root string // the mount point of v2, or what v1's mount points are in
	v1   []subsystem
	// scopes is the service manager that makes scopes; nil where there is none.
	scopes scopes
}

// thisHost looks once.
var thisHost = sync.OnceValue(func() host {
	h := findHost("/sys/fs/cgroup")
	// As sd_booted(3) tests.
	if fi, err := os.Lstat("/run/systemd/system"); err == nil && fi.IsDir() {
		h.scopes = systemd{}
	}
	return h
})

func findHost(root string) host {
	isV2 := func(dir string) bool {
		var fs unix.Statfs_t
		return unix.Statfs(dir, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
	}
	h := host{root: root, v1: hierarchies(root)}
	switch {
	case isV2(root):
		h.mode = V2
	case len(h.v1) == 0:
	case isV2(filepath.Join(root, "unified")):
		h.mode = Hybrid
	default:
		h.mode = V1
	}
	return h
}

func (h host) backend(path string) backend {
	if h.mode == V2 {
		return &v2{root: h.root, path: path}
	}
	return &v1{path: path, subsystems: h.v1}
}
