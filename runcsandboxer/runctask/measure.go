package runctask

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	"blazar/internal/cgroup"
)

// cgroupRoot is where cgroups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// Stats measures the container's cgroup.
func (c *container) Stats(ctx context.Context) (proto.Message, error) {
	return c.group.Metrics(ctx)
}

// Pids lists the processes in the container's cgroup.
func (c *container) Pids(context.Context) ([]uint32, error) {
	pids, err := c.group.Procs()
	out := make([]uint32, len(pids))
	for i, pid := range pids {
		out[i] = uint32(pid)
	}
	return out, err
}

// OOM yields when the kernel has killed one of the container's processes for want of
// memory.
func (c *container) OOM() <-chan struct{} { return c.oom.Events() }

// controllerDir is the container's directory in the hierarchy of a controller.
func (c *container) controllerDir(v1 string) string {
	if cgroup.HostMode() == cgroup.V2 {
		v1 = ""
	}
	return filepath.Join(cgroupRoot, v1, c.group.Path())
}

func (c *container) memoryDir() string { return c.controllerDir("memory") }

// thaw lets the processes of a paused container run, so that they can end: with v1 a
// frozen process does not even die (admin-guide/cgroup-v1/freezer-subsystem.rst).
func (c *container) thaw() error {
	file, value := "freezer.state", "THAWED"
	if cgroup.HostMode() == cgroup.V2 {
		file, value = "cgroup.freeze", "0"
	}
	err := os.WriteFile(filepath.Join(c.controllerDir("freezer"), file), []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // gone
	}
	return err
}

// frozen says whether the container is paused.
func (c *container) frozen() bool {
	file, value := "freezer.state", "FROZEN"
	if cgroup.HostMode() == cgroup.V2 {
		file, value = "cgroup.freeze", "1"
	}
	b, err := os.ReadFile(filepath.Join(c.controllerDir("freezer"), file))
	return err == nil && strings.TrimSpace(string(b)) == value
}
