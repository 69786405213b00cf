package cgroup

import (
	"fmt"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Times in microseconds: the kernel's own limits of a period and the least quota
// (kernel/sched/core.c, max_cfs_quota_period and min_cfs_quota_period), the period
// of who names none, and the one that threads are held to.
const (
	minQuota      = 1_000
	maxPeriod     = 1_000_000
	defaultPeriod = 100_000
	shortest      = 10_000
)

// shortPeriod is the same share of CPU time in shorter periods. A thread that has
// used up its quota stands still for the rest of the period, and with it whatever
// waits for that thread: here the other threads of the process do, at a garbage
// collection or for a lock. A tenth of the customary period makes it a tenth of the
// wait. A quota too small for the kernel then keeps a period as long as it needs.
// Negative is no quota.
func shortPeriod(c *specs.LinuxCPU) (quota, period int64, err error) {
	period = defaultPeriod
	if c.Period != nil && *c.Period != 0 {
		if *c.Period < minQuota || *c.Period > maxPeriod {
			return 0, 0, fmt.Errorf("CPU period of %d µs, %d to %d are possible: %w", *c.Period, minQuota, maxPeriod, errdefs.ErrInvalidArgument)
		}
		period = int64(*c.Period)
	}
	quota = *c.Quota
	if quota <= 0 {
		return -1, period, nil
	}
	short := min(period, shortest)
	if least := (minQuota*period + quota - 1) / quota; least > short {
		short = least
	}
	if short > maxPeriod {
		return 0, 0, fmt.Errorf("CPU quota of %d µs in %d µs is less than %d µs in %d µs: %w",
			quota, period, minQuota, maxPeriod, errdefs.ErrInvalidArgument)
	}
	// In two parts, or a quota without sense could overflow.
	scaled := quota/period*short + quota%period*short/period
	return max(scaled, minQuota), short, nil
}
