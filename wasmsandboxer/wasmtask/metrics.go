package wasmtask

import (
	"context"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"google.golang.org/protobuf/proto"
)

// unlimited is the memory.limit_in_bytes of a cgroup v1 without a limit: LONG_MAX
// in pages. containerd computes with it, and takes it for unlimited under v2 too.
const unlimited = 0x7ffffffffffff000

// Stats measures the container: the CPU time of its threads and how often its quota
// held them up, its linear memory.
// Threads of one process share everything else, so nothing else is claimed.
func (c *container) Stats(context.Context) (proto.Message, error) {
	cpu, memory, threads := c.usage.read()
	held := c.threads.read()
	limit, ooms := c.limit.Load(), c.ooms.Load()
	if limit == 0 {
		limit = unlimited // what a cgroup without a limit says
	}
	if c.rt.hello.CgroupV2 {
		return &cgroup2.Metrics{
			CPU: &cgroup2.CPUStat{
				UsageUsec: uint64(cpu.Microseconds()), UserUsec: uint64(cpu.Microseconds()),
				NrPeriods: held.periods, NrThrottled: held.throttled, ThrottledUsec: uint64(held.time.Microseconds()),
			},
			Memory:       &cgroup2.MemoryStat{Anon: memory, Usage: memory, UsageLimit: limit},
			MemoryEvents: &cgroup2.MemoryEvents{Oom: ooms, OomKill: ooms},
			Pids:         &cgroup2.PidsStat{Current: uint64(threads)},
		}, nil
	}
	return &cgroup1.Metrics{
		CPU: &cgroup1.CPUStat{
			Usage:      &cgroup1.CPUUsage{Total: uint64(cpu.Nanoseconds()), User: uint64(cpu.Nanoseconds())},
			Throttling: &cgroup1.Throttle{Periods: held.periods, ThrottledPeriods: held.throttled, ThrottledTime: uint64(held.time)},
		},
		Memory: &cgroup1.MemoryStat{
			RSS: memory, TotalRSS: memory, HierarchicalMemoryLimit: limit,
			Usage: &cgroup1.MemoryEntry{Usage: memory, Max: memory, Limit: limit},
		},
		MemoryOomControl: &cgroup1.MemoryOomControl{OomKill: ooms},
		Pids:             &cgroup1.PidsStat{Current: uint64(threads)},
	}, nil
}
