package wasmtask

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// usage adds up what the threads of one container used.
type usage struct {
	mu      sync.Mutex // guards the fields below
	ended   time.Duration
	running map[int]threadStart
}

type threadStart struct {
	cpu    time.Duration // of the thread before the guest ran on it
	memory func() uint64
}

func newUsage() *usage { return &usage{running: map[int]threadStart{}} }

// enter counts the calling thread, which the caller has locked, until the returned
// function is called on it. memory reports the guest's linear memory.
func (u *usage) enter(memory func() uint64) (leave func()) {
	tid := unix.Gettid()
	before := clock(unix.CLOCK_THREAD_CPUTIME_ID)
	u.mu.Lock()
	u.running[tid] = threadStart{cpu: before, memory: memory}
	u.mu.Unlock()
	return func() {
		u.mu.Lock()
		u.ended += clock(unix.CLOCK_THREAD_CPUTIME_ID) - before
		delete(u.running, tid)
		u.mu.Unlock()
	}
}

// each calls fn with the id of every thread that runs, none of which ends meanwhile.
func (u *usage) each(fn func(tid int)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for tid := range u.running {
		fn(tid)
	}
}

// read is the CPU time so far, and the linear memory and number of threads now.
func (u *usage) read() (cpu time.Duration, memory uint64, threads int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	cpu = u.ended
	for tid, t := range u.running {
		// The thread cannot end meanwhile: it takes the lock first.
		if now := clock(threadClock(tid)); now > t.cpu {
			cpu += now - t.cpu
		}
		memory += t.memory()
	}
	return cpu, memory, len(u.running)
}

// threadClock is the id of the CPU clock of another thread of this process: the
// kernel's MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED), include/linux/posix-timers.h.
func threadClock(tid int) int32 {
	const perThread, scheduler = 4, 2
	return int32(^tid<<3 | perThread | scheduler)
}

// clock reads a CPU clock; 0 if the kernel refuses.
func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
