package cgroup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// v2 is a group in the one hierarchy of cgroup v2.
type v2 struct {
	root, path string
}

// wanted2 are the controllers that pods are limited and measured by.
var wanted2 = []string{"cpu", "cpuset", "memory", "pids", "io"}

func (g *v2) dir() string    { return filepath.Join(g.root, g.path) }
func (g *v2) dirs() []string { return []string{g.dir()} }

func (g *v2) controllers() []string { return nil }

func (g *v2) missing() []string {
	have := fields(filepath.Join(g.dir(), "cgroup.controllers"))
	return slices.DeleteFunc(slices.Clone(wanted2), func(c string) bool { return slices.Contains(have, c) })
}

// create enables the wanted controllers from the root down. One that cannot be
// enabled is left out: see missing.
func (g *v2) create(r *specs.LinuxResources) error {
	if err := os.MkdirAll(g.dir(), 0o755); err != nil {
		return err
	}
	dir := g.root
	for _, part := range strings.Split(path.Dir(g.path), "/") { // the first part is empty: the root
		dir = filepath.Join(dir, part)
		enabled := fields(filepath.Join(dir, "cgroup.subtree_control"))
		for _, c := range fields(filepath.Join(dir, "cgroup.controllers")) {
			if slices.Contains(wanted2, c) && !slices.Contains(enabled, c) {
				_ = write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c) // told by missing
			}
		}
	}
	return g.update(r)
}

func (g *v2) update(r *specs.LinuxResources) error {
	all, err := settings(r)
	if err != nil {
		return err
	}
	missing := g.missing()
	for _, s := range all {
		controller, _, _ := strings.Cut(s.file, ".")
		if slices.Contains(missing, controller) {
			continue
		}
		err := write(filepath.Join(g.dir(), s.file), s.value)
		if s.optional && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// join does nothing: a thread alone cannot move to another v2 group of processes.
// The process is born in it, by Dir.
func (g *v2) join() error { return nil }

func (g *v2) metrics() (proto.Message, error) {
	m, err := cgroup2.Load(g.path, cgroup2.WithMountpoint(g.root))
	if err != nil {
		return nil, err
	}
	return m.Stat()
}

// events watches memory.events, of which the kernel tells inotify each change, and the
// group above, since of the end of files in a group it tells nothing.
func (g *v2) events() (*os.File, func([]byte) (int, bool), error) {
	file := filepath.Join(g.dir(), "memory.events")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, nil, os.NewSyscallError("inotify_init1", err)
	}
	f := os.NewFile(uintptr(fd), "memory events")
	watch := func(path string, mask uint32) (int, error) {
		wd, err := unix.InotifyAddWatch(fd, path, mask)
		if err != nil {
			_ = f.Close() // never used
			return 0, fmt.Errorf("watch %s: %w", path, err)
		}
		return wd, nil
	}
	changes, err := watch(file, unix.IN_MODIFY)
	if err != nil {
		return nil, nil, err
	}
	if _, err := watch(filepath.Dir(g.dir()), unix.IN_DELETE|unix.IN_ONLYDIR); err != nil {
		return nil, nil, err
	}
	before, _ := oomKills(file) // no event yet, if it cannot be read
	return f, func(b []byte) (int, bool) {
		if !concerns(b, changes, filepath.Base(g.path)) {
			return 0, true
		}
		now, err := oomKills(file)
		if err != nil {
			return 0, false
		}
		n := now - before
		before = now
		return n, true
	}, nil
}

// concerns says whether there is something about a watch, or a file of that name, among
// the events of inotify in b: struct inotify_event of inotify(7).
func concerns(b []byte, watch int, name string) bool {
	for len(b) >= unix.SizeofInotifyEvent {
		wd, length := int32(binary.NativeEndian.Uint32(b)), int(binary.NativeEndian.Uint32(b[12:]))
		end := min(unix.SizeofInotifyEvent+length, len(b))
		about := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00"))
		if int(wd) == watch || wd == -1 || about == name { // -1: some were lost
			return true
		}
		b = b[end:]
	}
	return false
}

// oomKills counts the processes that the kernel has killed for want of memory.
func oomKills(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, nil
}

// fields are the words of a file; none if it cannot be read.
func fields(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}
