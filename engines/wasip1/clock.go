package wasip1

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// monotonicBase is what a guest's monotonic clock shows when its System is made:
// not zero, which some runtimes take for "unset", and nothing about the host.
const monotonicBase = uint64(time.Second)

// maxWait is longer than anything lives, and far from every overflow.
const maxWait = math.MaxInt64 / 4

// clockNow reads a clock, in nanoseconds. The process of a guest is its one
// thread, and so is the clock of both; a call is made on the guest's own thread.
func (s *System) clockNow(id uint32) (uint64, Errno) {
	switch id {
	case clockRealtime:
		return uint64(max(time.Now().UnixNano(), 0)), ErrnoSuccess
	case clockMonotonic:
		return monotonicBase + uint64(time.Since(s.start)), ErrnoSuccess
	case clockProcessCPU, clockThreadCPU:
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
			return 0, fromHost(err)
		}
		return uint64(t.Nano()), ErrnoSuccess
	}
	return 0, ErrnoInval
}

func clockTimeGet(s *System, m memory, a []uint64) Errno {
	now, errno := s.clockNow(uint32(a[0]))
	if errno != ErrnoSuccess {
		return errno
	}
	return m.putUint64(uint32(a[2]), now)
}

func clockResGet(_ *System, m memory, a []uint64) Errno {
	if uint32(a[0]) > clockThreadCPU {
		return ErrnoInval
	}
	// Linux's own answer wherever it has high resolution timers.
	return m.putUint64(uint32(a[1]), 1)
}

// clockSubscription is a clock in poll_oneoff.
type clockSubscription struct {
	id      uint32
	timeout uint64
	abs     bool
}

// deadline is when the subscription fires, on Go's monotonic clock.
func (s *System) deadline(c clockSubscription, now time.Time) (time.Time, Errno) {
	wait := c.timeout
	if c.abs || c.id > clockMonotonic {
		t, errno := s.clockNow(c.id)
		if errno != ErrnoSuccess {
			return now, errno
		}
		if c.abs {
			wait -= min(t, wait)
		}
	}
	if c.id > clockMonotonic && wait > 0 {
		// The time of a thread stands still while it waits for it.
		return now, ErrnoNotsup
	}
	return now.Add(time.Duration(min(wait, maxWait))), ErrnoSuccess
}
