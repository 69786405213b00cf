package cgroup

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// limits are a copy of those resources that mean something for a pod of threads of
// one process that can open no device.
func limits(r *specs.LinuxResources) *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if r == nil {
		return out
	}
	if r.CPU != nil {
		c := *r.CPU
		c.RealtimePeriod, c.RealtimeRuntime, c.Burst, c.Idle = nil, nil, nil, nil
		out.CPU = &c
	}
	if m := r.Memory; m != nil {
		out.Memory = &specs.LinuxMemory{Limit: m.Limit, Reservation: m.Reservation, Swap: m.Swap}
	}
	out.Pids, out.BlockIO, out.Unified = r.Pids, r.BlockIO, r.Unified
	return out
}

// merge lays the limits that b has over those of a.
func merge(a, b *specs.LinuxResources) *specs.LinuxResources {
	out, over := limits(a), limits(b)
	if over.CPU != nil {
		if out.CPU == nil {
			out.CPU = &specs.LinuxCPU{}
		}
		c, o := out.CPU, over.CPU
		c.Shares, c.Quota, c.Period = cmp.Or(o.Shares, c.Shares), cmp.Or(o.Quota, c.Quota), cmp.Or(o.Period, c.Period)
		c.Cpus, c.Mems = cmp.Or(o.Cpus, c.Cpus), cmp.Or(o.Mems, c.Mems)
	}
	if over.Memory != nil {
		if out.Memory == nil {
			out.Memory = &specs.LinuxMemory{}
		}
		m, o := out.Memory, over.Memory
		m.Limit, m.Reservation, m.Swap = cmp.Or(o.Limit, m.Limit), cmp.Or(o.Reservation, m.Reservation), cmp.Or(o.Swap, m.Swap)
	}
	out.Pids, out.BlockIO = cmp.Or(over.Pids, out.Pids), cmp.Or(over.BlockIO, out.BlockIO)
	if over.Unified != nil {
		out.Unified = over.Unified
	}
	return out
}

// setting is a file of a v2 group and what to write to it; an optional one may be
// missing although its controller is there.
type setting struct {
	file, value string
	optional    bool
}

// settings translates limits, which are in terms of v1, to files of v2 (the
// kernel's admin-guide/cgroup-v2.rst). Those of block devices are left to Unified.
func settings(r *specs.LinuxResources) (out []setting, err error) {
	r = limits(r)
	add := func(file, value string) { out = append(out, setting{file: file, value: value}) }
	if c := r.CPU; c != nil {
		if c.Shares != nil && *c.Shares != 0 {
			add("cpu.weight", strconv.FormatUint(cgroup2.ConvertCPUSharesToCgroupV2Value(*c.Shares), 10))
		}
		if c.Quota != nil {
			period := uint64(100000) // the kernel's own
			if c.Period != nil && *c.Period != 0 {
				period = *c.Period
			}
			add("cpu.max", fmt.Sprintf("%s %d", quantity(*c.Quota), period))
		}
		if c.Cpus != "" {
			add("cpuset.cpus", c.Cpus)
		}
		if c.Mems != "" {
			add("cpuset.mems", c.Mems)
		}
	}
	if m := r.Memory; m != nil {
		if m.Reservation != nil {
			add("memory.low", quantity(*m.Reservation))
		}
		if m.Limit != nil {
			add("memory.max", quantity(*m.Limit))
		}
		if m.Swap != nil && *m.Swap != 0 { // memory and swap together in v1
			swap := *m.Swap
			if swap > 0 && m.Limit != nil {
				swap = max(0, swap-max(0, *m.Limit))
			}
			out = append(out, setting{"memory.swap.max", quantity(swap), true})
		}
	}
	if p := r.Pids; p != nil && p.Limit != nil && *p.Limit != 0 {
		add("pids.max", quantity(*p.Limit))
	}
	for _, k := range slices.Sorted(maps.Keys(r.Unified)) {
		if strings.Contains(k, "/") || !strings.Contains(k, ".") {
			return nil, fmt.Errorf("resource %q is no file of a cgroup: %w", k, errdefs.ErrInvalidArgument)
		}
		add(k, r.Unified[k])
	}
	return out, nil
}

// quantity is a number as v2 writes it, negative meaning no limit.
func quantity(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// write writes to a file of a cgroup, which must be there and takes one write.
func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", value, err)
	}
	return nil
}
