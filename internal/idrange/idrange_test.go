package idrange

import (
	"sync"
	"testing"

	"github.com/containerd/errdefs"
)

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct{ first, last uint32 }{
		{0, Size}, {Size + 1, 2 * Size}, {Size, 2*Size + 1}, {2 * Size, Size}, {Size, 0xffff0000},
	} {
		if _, err := New(c.first, c.last); !errdefs.IsInvalidArgument(err) {
			t.Errorf("New(%#x, %#x): %v, want invalid argument", c.first, c.last, err)
		}
	}
	if _, err := New(DefaultFirst, DefaultLast); err != nil {
		t.Error(err)
	}
}

func TestTakeAllThenReuse(t *testing.T) {
	a, err := New(4*Size, 7*Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Reserve(5 * Size); err != nil {
		t.Fatal(err)
	}
	if err := a.Reserve(5 * Size); !errdefs.IsAlreadyExists(err) {
		t.Errorf("second reserve: %v", err)
	}
	if err := a.Reserve(5*Size + 1); !errdefs.IsInvalidArgument(err) {
		t.Errorf("odd reserve: %v", err)
	}
	for _, want := range []uint32{4 * Size, 6 * Size, 7 * Size} {
		got, err := a.Take()
		if err != nil || got != want {
			t.Fatalf("Take: %d, %v; want %d", got, err, want)
		}
	}
	if _, err := a.Take(); !errdefs.IsResourceExhausted(err) {
		t.Fatalf("Take of none left: %v", err)
	}
	a.Release(5 * Size)
	a.Release(5 * Size)
	if got, err := a.Take(); err != nil || got != 5*Size {
		t.Fatalf("Take after Release: %d, %v", got, err)
	}
}

func TestReleasedIsReusedLate(t *testing.T) {
	a, err := New(Size, 3*Size)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := a.Take()
	a.Release(first)
	if second, err := a.Take(); err != nil || second == first {
		t.Fatalf("Take after Release: %d, %v; want another one than %d", second, err, first)
	}
}

func TestHammer(t *testing.T) {
	a, err := New(Size, 64*Size)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	owned := map[uint32]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				b, err := a.Take()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if owned[b] {
					t.Errorf("range %d has two owners", b)
				}
				owned[b] = true
				mu.Unlock()
				mu.Lock()
				delete(owned, b)
				mu.Unlock()
				a.Release(b)
			}
		})
	}
	wg.Wait()
}
