package shared

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

type thing struct{ open *atomic.Int32 }

func (t *thing) Close() error { t.open.Add(-1); return nil }

func TestPool(t *testing.T) {
	var p Pool[*thing]
	var open, loads atomic.Int32
	load := func() (*thing, error) {
		open.Add(1)
		loads.Add(1)
		return &thing{&open}, nil
	}
	var all sync.WaitGroup
	releases := make([]func() error, 32)
	for i := range releases {
		all.Go(func() {
			var err error
			if _, releases[i], err = p.Get("k", load); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if open.Load() != 1 || loads.Load() != 1 || p.Len() != 1 {
		t.Fatalf("%d open after %d loads, %d entries", open.Load(), loads.Load(), p.Len())
	}
	for _, release := range releases[1:] {
		for range 2 { // the second time gives nothing back
			if err := release(); err != nil {
				t.Error(err)
			}
		}
	}
	if open.Load() != 1 {
		t.Fatal("closed while in use")
	}
	if err := releases[0](); err != nil {
		t.Error(err)
	}
	if open.Load() != 0 || p.Len() != 0 {
		t.Errorf("%d open, %d entries after the last user", open.Load(), p.Len())
	}
}

func TestFailureIsNotKept(t *testing.T) {
	var p Pool[*thing]
	var open atomic.Int32
	broken := errors.New("broken")
	if _, _, err := p.Get("k", func() (*thing, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	open.Add(1)
	_, release, err := p.Get("k", func() (*thing, error) { return &thing{&open}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil || open.Load() != 0 || p.Len() != 0 {
		t.Errorf("%v, %d open, %d entries", err, open.Load(), p.Len())
	}
}
