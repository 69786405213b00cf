package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// threads1 is a group of threads of v1. It has nothing in cpuacct: how long threads
// ran their own clocks tell, to the nanosecond.
type threads1 struct {
	pod  *v1
	name string
}

func (g *v1) threads(name string) threadsBackend { return &threads1{g, name} }

func (t *threads1) file() string { return "tasks" }

func (t *threads1) dirs() (out []string) {
	for _, c := range []cgroup1.Name{cgroup1.Cpu, cgroup1.Cpuset} {
		if dir, ok := t.pod.dir(c); ok {
			out = append(out, filepath.Join(dir, t.name))
		}
	}
	return out
}

func (t *threads1) set(c *specs.LinuxCPU) error {
	if err := t.setTime(c); err != nil {
		return err
	}
	if c.Cpus == "" && c.Mems == "" {
		return nil
	}
	return t.setPlaces(c)
}

// make makes the directory of one controller.
func (t *threads1) make(controller cgroup1.Name) (string, error) {
	pod, ok := t.pod.dir(controller)
	if !ok {
		return "", lacking(string(controller))
	}
	dir := filepath.Join(pod, t.name)
	err := unix.Mkdir(dir, 0o755)
	if errors.Is(err, unix.ENOENT) {
		return "", fmt.Errorf("cgroup %s: %w", pod, errdefs.ErrNotFound)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return "", &os.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return dir, nil
}

// setTime sets shares and quota.
func (t *threads1) setTime(c *specs.LinuxCPU) error {
	dir, err := t.make(cgroup1.Cpu)
	if err != nil {
		return err
	}
	if c.Shares != nil && *c.Shares != 0 {
		if err := write(filepath.Join(dir, "cpu.shares"), strconv.FormatUint(*c.Shares, 10)); err != nil {
			return err
		}
	}
	if c.Quota == nil {
		return nil
	}
	quota, period, err := shortPeriod(c)
	if err != nil {
		return err
	}
	// Between two quotas there is none for a moment: a period alone, with the quota
	// that was, might be more than the pod has, which the kernel refuses.
	err = t.lift()
	if errors.Is(err, os.ErrNotExist) {
		if quota < 0 {
			return nil
		}
		return fmt.Errorf("this kernel has no CPU quotas: %w", errdefs.ErrNotImplemented)
	}
	if err == nil {
		err = write(filepath.Join(dir, "cpu.cfs_period_us"), strconv.FormatInt(period, 10))
	}
	if err == nil && quota > 0 {
		err = write(filepath.Join(dir, "cpu.cfs_quota_us"), strconv.FormatInt(quota, 10))
		if errors.Is(err, unix.EINVAL) {
			// The quota is a possible one, so somebody above has less, and that holds.
			return nil
		}
	}
	return err
}

func (t *threads1) lift() error {
	dirs := t.dirs()
	if len(dirs) == 0 {
		return nil
	}
	return write(filepath.Join(dirs[0], "cpu.cfs_quota_us"), "-1")
}

// setPlaces chooses CPUs and memory nodes. A group of cpuset takes no thread before
// it has both.
func (t *threads1) setPlaces(c *specs.LinuxCPU) error {
	dir, err := t.make(cgroup1.Cpuset)
	if err != nil {
		return err
	}
	for file, value := range map[string]string{"cpuset.cpus": c.Cpus, "cpuset.mems": c.Mems} {
		if value == "" {
			if len(fields(filepath.Join(dir, file))) > 0 {
				continue
			}
			value = text(filepath.Join(filepath.Dir(dir), file))
		}
		if err := write(filepath.Join(dir, file), value); err != nil {
			return err
		}
	}
	return nil
}

func (t *threads1) limits() string {
	dirs := t.dirs()
	if len(dirs) == 0 {
		return "none"
	}
	out := "shares " + text(filepath.Join(dirs[0], "cpu.shares"))
	if quota := text(filepath.Join(dirs[0], "cpu.cfs_quota_us")); quota != "" && quota != "-1" {
		out += fmt.Sprintf(", %s of every %s µs", quota, text(filepath.Join(dirs[0], "cpu.cfs_period_us")))
	}
	if cpus := text(filepath.Join(dirs[len(dirs)-1], "cpuset.cpus")); cpus != "" {
		out += ", CPUs " + cpus
	}
	return out
}

// text is what a file says; nothing if it cannot be read.
func text(file string) string { return strings.Join(fields(file), " ") }
