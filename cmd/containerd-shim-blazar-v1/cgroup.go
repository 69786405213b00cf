package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroups are the container's directories: one of v2, or one in every hierarchy of v1.
func (c *container) cgroups() []string {
	// Not the groups of others: they are named after their containers.
	if !strings.Contains(filepath.Base(c.cgroupDir), c.id) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(cgroupRoot, c.cgroupDir)}
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() { // the others are links to hierarchies of several controllers
			out = append(out, filepath.Join(cgroupRoot, e.Name(), c.cgroupDir))
		}
	}
	return out
}

// kill ends every process of the container.
func (c *container) kill(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		_ = os.WriteFile(filepath.Join(cgroupRoot, "freezer", c.cgroupDir, "freezer.state"), []byte("THAWED"), 0) // not frozen, or not v1
		pids := c.pids()
		if c.pid > 0 && startTime(c.pid) == c.startTime && !slices.Contains(pids, c.pid) {
			pids = append(pids, c.pid)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue // it has ended
			}
			// Whoever has the pid now must still be the container's.
			if slices.Contains(c.pids(), pid) || pid == c.pid && startTime(pid) == c.startTime {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it has ended
			}
			_ = unix.Close(fd) // nothing was written
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of container %s do not end: %w", pids, c.id, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// pids lists the processes in the container's cgroups that have not ended: one whose
// parent does not reap it may be listed all the same.
func (c *container) pids() (out []int) {
	for _, dir := range c.cgroups() {
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return nil // gone
			}
			b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			if err != nil {
				return nil // gone
			}
			for s := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(s); err == nil && pid > 0 && startTime(pid) != 0 && !slices.Contains(out, pid) {
					out = append(out, pid)
				}
			}
			return nil
		})
	}
	return out
}

// removeCgroups removes what the OCI runtime left.
func (c *container) removeCgroups() error {
	var errs []error
	for _, dir := range c.cgroups() {
		var all []string
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for _, path := range slices.Backward(all) {
			if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, &os.PathError{Op: "rmdir", Path: path, Err: err})
			}
		}
	}
	return errors.Join(errs...)
}

// startTime is field 22 of /proc/PID/stat of a process that has not ended; 0 if it has.
func startTime(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:]) // the first is field 3
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0
	}
	n, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
