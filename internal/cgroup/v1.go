package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup1/stats"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// v1 is a group in every hierarchy of cgroup v1.
type v1 struct {
	path       string
	subsystems []subsystem
}

// subsystem is what every one of package cgroup1 is.
type subsystem interface {
	cgroup1.Subsystem
	Path(path string) string
}

// wanted are the controllers that pods are limited and measured by.
var wanted = []cgroup1.Name{cgroup1.Cpu, cgroup1.Cpuacct, cgroup1.Cpuset, cgroup1.Memory, cgroup1.Pids, cgroup1.Blkio}

// hierarchies are the controllers that are mounted below root, and systemd's own
// hierarchy, by which it knows what belongs to which of its units.
func hierarchies(root string) []subsystem {
	all := []subsystem{
		cgroup1.NewNamed(root, "systemd"), cgroup1.NewFreezer(root), cgroup1.NewPids(root), cgroup1.NewNetCls(root),
		cgroup1.NewNetPrio(root), cgroup1.NewPerfEvent(root), cgroup1.NewCpuset(root), cgroup1.NewCpu(root),
		cgroup1.NewCpuacct(root), cgroup1.NewMemory(root, cgroup1.IgnoreModules(missingMemory(root)...)),
		cgroup1.NewBlkio(root), cgroup1.NewDevices(root), cgroup1.NewRdma(root),
	}
	return slices.DeleteFunc(all, func(s subsystem) bool {
		var fs unix.Statfs_t
		return unix.Statfs(s.Path("/"), &fs) != nil || fs.Type != unix.CGROUP_SUPER_MAGIC
	})
}

// missingMemory are the kinds of memory that this kernel does not account: the
// library fails on them.
func missingMemory(root string) (out []string) {
	for _, module := range []string{"memsw", "kmem", "kmem.tcp"} {
		if _, err := os.Stat(filepath.Join(root, "memory", "memory."+module+".limit_in_bytes")); err != nil {
			out = append(out, module)
		}
	}
	return out
}

func (g *v1) hierarchy() ([]cgroup1.Subsystem, error) {
	out := make([]cgroup1.Subsystem, len(g.subsystems))
	for i, s := range g.subsystems {
		out[i] = s
	}
	return out, nil
}

func (g *v1) dirs() []string {
	out := make([]string, len(g.subsystems))
	for i, s := range g.subsystems {
		out[i] = s.Path(g.path)
	}
	return out
}

func (g *v1) controllers() []string {
	out := make([]string, len(g.subsystems))
	for i, s := range g.subsystems {
		out[i] = string(s.Name())
	}
	return out
}

func (g *v1) dir(name cgroup1.Name) (string, bool) {
	for _, s := range g.subsystems {
		if s.Name() == name {
			return s.Path(g.path), true
		}
	}
	return "", false
}

func (g *v1) missing() (out []string) {
	for _, name := range wanted {
		if _, ok := g.dir(name); !ok {
			out = append(out, string(name))
		}
	}
	return out
}

func (g *v1) create(r *specs.LinuxResources) error {
	if len(g.subsystems) == 0 {
		return fmt.Errorf("no cgroups are mounted at /sys/fs/cgroup: %w", errdefs.ErrFailedPrecondition)
	}
	r = g.able(r)
	for _, s := range g.subsystems {
		if !limited(s.Name(), r) && g.mkdir(s) == nil {
			continue
		}
		var err error
		if c, ok := s.(creator); ok {
			err = c.Create(g.path, r)
		} else {
			err = os.MkdirAll(s.Path(g.path), 0o755)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// creator is a subsystem with limits: it makes the group with what is missing above it and sets
// the limits.
type creator interface {
	Create(path string, r *specs.LinuxResources) error
}

// limited says whether there is anything to set in a subsystem.
func limited(name cgroup1.Name, r *specs.LinuxResources) bool {
	switch name {
	case cgroup1.Cpu:
		return r.CPU != nil
	case cgroup1.Cpuset:
		return r.CPU != nil && r.CPU.Cpus+r.CPU.Mems != ""
	case cgroup1.Memory:
		return r.Memory != nil
	case cgroup1.Pids:
		return r.Pids != nil
	case cgroup1.Blkio:
		return r.BlockIO != nil
	}
	return false
}

// mkdir makes the group in a subsystem without any limits: the library, which looks for
// what is missing above it and for limits, takes three times as long. An error means that
// there is more to do than that.
func (g *v1) mkdir(s subsystem) error {
	dir := s.Path(g.path)
	if err := unix.Mkdir(dir, 0o755); err != nil || s.Name() != cgroup1.Cpuset {
		return err
	}
	// A new group of cpuset takes no process before it has both.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err == nil && len(b) <= 1 { // a line end
			err = unix.ENODATA
		}
		if err == nil {
			err = write(filepath.Join(dir, file), string(b))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *v1) load() (cgroup1.Cgroup, error) {
	return cgroup1.Load(cgroup1.StaticPath(g.path), cgroup1.WithHierarchy(g.hierarchy), allowAny)
}

// allowAny loads a group whatever controllers it has.
func allowAny(c *cgroup1.InitConfig) error {
	c.InitCheck = cgroup1.AllowAny
	return nil
}

func (g *v1) update(r *specs.LinuxResources) error {
	c, err := g.load()
	if err != nil {
		return err
	}
	return c.Update(g.able(r))
}

// able leaves out the limits that this kernel cannot set.
func (g *v1) able(r *specs.LinuxResources) *specs.LinuxResources {
	out := limits(r)
	if m := out.Memory; m != nil && m.Swap != nil {
		dir, ok := g.dir(cgroup1.Memory)
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "memory.memsw.limit_in_bytes")); !ok || err != nil {
			m.Swap = nil
		}
	}
	return out
}

// join writes "0", the calling thread, to every tasks file: 100 times cheaper than
// moving somebody else.
func (g *v1) join() error {
	for _, dir := range g.dirs() {
		if err := write(filepath.Join(dir, "tasks"), "0"); err != nil {
			return err
		}
	}
	return nil
}

// meter is a subsystem that counts.
type meter interface {
	Stat(path string, m *stats.Metrics) error
}

// metrics asks one subsystem after the other: cgroup1.Cgroup.Stat does the same
// with a goroutine for each, and costs twice as much.
func (g *v1) metrics() (proto.Message, error) {
	m := &stats.Metrics{CPU: &stats.CPUStat{Throttling: &stats.Throttle{}, Usage: &stats.CPUUsage{}}}
	for _, s := range g.subsystems {
		s, ok := s.(meter)
		if !ok {
			continue
		}
		// Kernels differ in files, and the group may be going.
		if err := s.Stat(g.path, m); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return nil, err
		}
	}
	return m, nil
}

// events registers an eventfd with memory.oom_control (the kernel's
// admin-guide/cgroup-v1/memory.rst, section 10).
func (g *v1) events() (*os.File, func([]byte) (int, bool), error) {
	dir, ok := g.dir(cgroup1.Memory)
	if !ok {
		return nil, nil, fmt.Errorf("no memory controller: %w", errdefs.ErrNotImplemented)
	}
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = control.Close() }() // only named to the kernel
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, nil, os.NewSyscallError("eventfd", err)
	}
	f := os.NewFile(uintptr(fd), "oom event")
	if err := write(filepath.Join(dir, "cgroup.event_control"), fmt.Sprintf("%d %d", fd, control.Fd())); err != nil {
		_ = f.Close() // never used
		return nil, nil, err
	}
	return f, func([]byte) (int, bool) {
		// The event also comes when the group is removed.
		_, err := os.Stat(dir)
		return 1, err == nil
	}, nil
}
