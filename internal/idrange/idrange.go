// Package idrange hands out ranges of user and group ids, one per pod, so that no
// two pods share an id with each other or with anybody on the host.
package idrange

import (
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
)

// Size is how many ids a range holds: all that an image can name.
const Size = 65536

// DefaultFirst and DefaultLast are the first ids of the first and the last range
// that is handed out unless configured otherwise. systemd's list of ids
// (systemd.io/UIDS-GIDS) leaves them unused; subuid files and systemd-nspawn stay
// below them.
const (
	DefaultFirst = 0x70000000
	DefaultLast  = 0x7ffd0000
)

// Allocator hands out ranges. It keeps nothing on disk: who takes a range records
// its base, and reserves it again after a restart. Safe for concurrent use.
type Allocator struct {
	first, count uint32

	mu   sync.Mutex // guards what follows
	used map[uint32]struct{}
	next uint32
}

// New makes an allocator of the ranges whose first ids are first to last; both
// must be multiples of Size, and first not 0.
func New(first, last uint32) (*Allocator, error) {
	if first == 0 || first%Size != 0 || last%Size != 0 || last < first || last > 0xfffe0000 {
		return nil, fmt.Errorf("id ranges %d to %d: both must be multiples of %d, the first not 0 and not after the last: %w",
			first, last, Size, errdefs.ErrInvalidArgument)
	}
	return &Allocator{first: first, count: (last-first)/Size + 1, used: map[uint32]struct{}{}}, nil
}

// Take returns the first id of a range that nobody has. A range that was
// released is handed out again as late as possible, so that what a pod left
// behind by accident is not the next pod's. errdefs.ErrResourceExhausted when
// every range is taken.
func (a *Allocator) Take() (uint32, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range a.count {
		base := a.first + a.next*Size
		a.next = (a.next + 1) % a.count
		if _, taken := a.used[base]; !taken {
			a.used[base] = struct{}{}
			return base, nil
		}
	}
	return 0, fmt.Errorf("all %d id ranges from %d on are taken: configure a wider one: %w",
		a.count, a.first, errdefs.ErrResourceExhausted)
}

// Reserve marks a range as taken that a pod of an earlier life has.
// errdefs.ErrAlreadyExists if it is taken. A base outside of the configured
// ranges is kept all the same: the configuration may have changed meanwhile.
func (a *Allocator) Reserve(base uint32) error {
	if base == 0 || base%Size != 0 {
		return fmt.Errorf("id range %d: not a multiple of %d: %w", base, Size, errdefs.ErrInvalidArgument)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.used[base]; taken {
		return fmt.Errorf("id range %d: %w", base, errdefs.ErrAlreadyExists)
	}
	a.used[base] = struct{}{}
	return nil
}

// Release gives a range back; one that is not taken is left alone.
func (a *Allocator) Release(base uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, base)
}
