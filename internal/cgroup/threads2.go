package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// threads2 is a threaded group of v2.
type threads2 struct {
	pod  *v2
	name string
}

func (g *v2) threads(name string) threadsBackend { return &threads2{g, name} }

func (t *threads2) dir() string    { return filepath.Join(t.pod.dir(), t.name) }
func (t *threads2) dirs() []string { return []string{t.dir()} }
func (t *threads2) file() string   { return "cgroup.threads" }

func (t *threads2) set(c *specs.LinuxCPU) error {
	controllers := []string{"cpu"}
	if c.Cpus != "" || c.Mems != "" {
		controllers = append(controllers, "cpuset")
	}
	have := fields(filepath.Join(t.pod.dir(), "cgroup.controllers"))
	for _, name := range controllers {
		if !slices.Contains(have, name) {
			return lacking(name)
		}
	}
	if err := t.make(); err != nil {
		return err
	}
	// Of a group with processes in it only controllers of threads can be handed down:
	// cpu and cpuset are, memory and io are not and stay with the pod.
	control := filepath.Join(t.pod.dir(), "cgroup.subtree_control")
	for _, name := range controllers {
		if slices.Contains(fields(control), name) {
			continue
		}
		if err := write(control, "+"+name); err != nil {
			return fmt.Errorf("hand the %s controller down: %w", name, err)
		}
	}
	short := *c
	if c.Quota != nil {
		quota, period, err := shortPeriod(c)
		if err != nil {
			return err
		}
		p := uint64(period)
		short.Quota, short.Period = &quota, &p
	}
	all, err := settings(&specs.LinuxResources{CPU: &short})
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := write(filepath.Join(t.dir(), s.file), s.value); err != nil {
			return err
		}
	}
	return nil
}

// make makes the group and has it take threads.
func (t *threads2) make() error {
	err := unix.Mkdir(t.dir(), 0o755)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cgroup %s: %w", t.pod.dir(), errdefs.ErrNotFound)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return &os.PathError{Op: "mkdir", Path: t.dir(), Err: err}
	}
	kind := filepath.Join(t.dir(), "cgroup.type")
	if text(kind) == "threaded" {
		return nil
	}
	err = write(kind, "threaded")
	if errors.Is(err, os.ErrNotExist) { // Linux 4.14
		return fmt.Errorf("this kernel has no groups of threads: %w", errdefs.ErrNotImplemented)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("the pod's group hands controllers of processes down: %w: %w", err, errdefs.ErrNotImplemented)
	}
	return err
}

func (t *threads2) lift() error {
	return write(filepath.Join(t.dir(), "cpu.max"), "max")
}

func (t *threads2) limits() string {
	out := "weight " + text(filepath.Join(t.dir(), "cpu.weight"))
	var quota string
	var period int
	if n, _ := fmt.Sscan(text(filepath.Join(t.dir(), "cpu.max")), &quota, &period); n == 2 && quota != "max" {
		out += fmt.Sprintf(", %s of every %d µs", quota, period)
	}
	if cpus := text(filepath.Join(t.dir(), "cpuset.cpus")); cpus != "" {
		out += ", CPUs " + cpus
	}
	return out
}
