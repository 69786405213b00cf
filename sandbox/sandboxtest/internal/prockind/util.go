package prockind

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3"
	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// socketpair makes two joined sockets that Go can wait for.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pod"), os.NewFile(uintptr(fds[1]), "parent"), nil
}

// hostPid is the pid of this process outside its pid namespace: /proc is the host's.
func hostPid() (uint32, error) {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return 0, err
	}
	pid, err := strconv.ParseUint(self, 10, 32)
	return uint32(pid), err
}

// hostPidOf finds the host's pid of a child.
func hostPidOf(pid int) (uint32, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			status, err := os.ReadFile("/proc/" + child + "/status")
			if err != nil {
				continue // a child that was reaped
			}
			_, ids, _ := bytes.Cut(status, []byte("\nNSpid:"))
			ids, _, _ = bytes.Cut(ids, []byte("\n"))
			if inner := bytes.Fields(ids); len(inner) > 0 && string(inner[len(inner)-1]) == strconv.Itoa(pid) {
				n, err := strconv.ParseUint(child, 10, 32)
				return uint32(n), err
			}
		}
	}
	return 0, fmt.Errorf("child %d: %w", pid, errdefs.ErrNotFound)
}

// metrics measures processes, in the form that the host's cgroups have.
func metrics(pids []uint32) (proto.Message, error) {
	var cpu, memory uint64 // ns, bytes
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, errdefs.ErrNotFound)
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from field 3 on
		for _, i := range []int{11, 12} {                               // utime, stime, in 10 ms
			ticks, err := strconv.ParseUint(string(fields[i]), 10, 64)
			if err != nil {
				return nil, err
			}
			cpu += ticks * 10_000_000
		}
		rss, err := strconv.ParseUint(string(fields[21]), 10, 64)
		if err != nil {
			return nil, err
		}
		memory += rss * uint64(os.Getpagesize())
	}
	if cgroups.Mode() == cgroups.Unified {
		return &cgroup2.Metrics{
			CPU:    &cgroup2.CPUStat{UsageUsec: cpu / 1000},
			Memory: &cgroup2.MemoryStat{Usage: memory},
		}, nil
	}
	return &cgroup1.Metrics{
		CPU:    &cgroup1.CPUStat{Usage: &cgroup1.CPUUsage{Total: cpu}},
		Memory: &cgroup1.MemoryStat{Usage: &cgroup1.MemoryEntry{Usage: memory}},
	}, nil
}
