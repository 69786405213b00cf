package wazero

import (
	"fmt"
	"sync"
	"sync/atomic"

	"blazar/engines/internal/report"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// outOfMemory is what the allocator panics with when the guest asks for more
// than its limit; wazero turns it into the error of the guest's call.
type outOfMemory struct{ asked, limit uint64 }

func (e outOfMemory) Error() string { return report.OutOfMemory(e.asked, e.limit) }

// allocator makes the linear memories of one instance and knows their sum.
// What no lock guards belongs to the goroutine that runs the guest.
//
// wazero forgets to free a memory when a guest killed by its context leaves
// through a host function, and would free others while the instance is still
// looked at. So Free, which wazero calls, does nothing, and the instance calls
// release once, when nothing of the guest runs any more.
type allocator struct {
	memories []*memory
	failed   *outOfMemory  // the request that ended the guest
	total    atomic.Uint64 // bytes now

	mu    sync.Mutex // guards the field below, and against it growth of total
	limit uint64     // bytes; 0 for none
}

var _ experimental.MemoryAllocator = (*allocator)(nil)

// Allocate reserves address space for a memory that may grow to most bytes. No
// memory is accounted to the process before Reallocate makes it accessible; and the
// limit, which may change, says nothing of how far it may grow.
func (a *allocator) Allocate(_, most uint64) experimental.LinearMemory {
	m := &memory{owner: a}
	a.memories = append(a.memories, m)
	if most == 0 {
		return m
	}
	reserved, err := unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		panic(fmt.Errorf("reserve %s of address space for the guest's memory: %w", report.Size(most), err))
	}
	m.reserved = reserved
	return m
}

// release unmaps everything. Idempotent.
func (a *allocator) release() error {
	var first error
	for _, m := range a.memories {
		if m.reserved == nil {
			continue
		}
		if err := unix.Munmap(m.reserved); err != nil && first == nil {
			first = fmt.Errorf("unmap a guest's memory: %w", err)
		}
		m.reserved, m.used = nil, nil
	}
	a.total.Store(0)
	return first
}

// setLimit changes the limit unless the guest has more than that.
func (a *allocator) setLimit(bytes uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := report.LimitBelow(bytes, a.total.Load()); err != nil {
		return err
	}
	a.limit = bytes
	return nil
}

// memory is one linear memory. It never moves.
type memory struct {
	owner    *allocator
	reserved []byte // the whole reservation
	used     []byte // what the guest has now
}

var _ experimental.LinearMemory = (*memory)(nil)

// Reallocate grows the memory to n bytes, which the module's own maximum allows
// (wazero checks that first). Over the limit it does not return: running out of
// its allowance ends a container, and a guest told -1 would report something else.
func (m *memory) Reallocate(n uint64) []byte {
	a := m.owner
	now := uint64(len(m.used))
	if n <= now {
		return m.reserved[:now:now]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if sum := a.total.Load() - now + n; a.limit > 0 && sum > a.limit {
		a.failed = &outOfMemory{asked: sum, limit: a.limit}
		panic(*a.failed)
	}
	if err := unix.Mprotect(m.reserved[now:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		if now == 0 {
			panic(fmt.Errorf("make %s of memory accessible to the guest: %w", report.Size(n), err))
		}
		return nil // the host cannot: memory.grow answers -1
	}
	m.used = m.reserved[:n:n]
	a.total.Add(n - now)
	return m.used
}

// Free does nothing; see allocator.
func (m *memory) Free() {}
