// Package shared keeps one copy of what several users load at once: containers of
// the same image pay for its code once in a process.
package shared

import (
	"io"
	"sync"
)

// Pool holds what is loaded, by key, while anyone uses it. The zero value is ready.
// Safe for concurrent use.
type Pool[T io.Closer] struct {
	mu      sync.Mutex // guards entries and their refs; never held while loading
	entries map[string]*entry[T]
}

type entry[T io.Closer] struct {
	refs   int
	once   sync.Once
	value  T
	loaded bool
	err    error
}

// Get returns the value of that key, loaded by load if nobody has it, and a
// function that gives it back and closes it after its last user; calling that
// again is harmless. A failure is not kept: the next call tries again.
func (p *Pool[T]) Get(key string, load func() (T, error)) (value T, release func() error, err error) {
	p.mu.Lock()
	if p.entries == nil {
		p.entries = map[string]*entry[T]{}
	}
	e := p.entries[key]
	if e == nil {
		e = &entry[T]{}
		p.entries[key] = e
	}
	e.refs++
	p.mu.Unlock()
	e.once.Do(func() {
		e.value, e.err = load()
		e.loaded = e.err == nil
	})
	if e.err != nil {
		_ = p.put(key, e) // closes nothing: nothing was loaded
		return value, nil, e.err
	}
	return e.value, sync.OnceValue(func() error { return p.put(key, e) }), nil
}

// Len is how many values are loaded or being loaded.
func (p *Pool[T]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.entries)
}

// put gives one reference back and closes the value with the last one.
func (p *Pool[T]) put(key string, e *entry[T]) error {
	p.mu.Lock()
	e.refs--
	last := e.refs == 0
	if (last || e.err != nil) && p.entries[key] == e {
		delete(p.entries, key)
	}
	p.mu.Unlock()
	if !last || !e.loaded {
		return nil
	}
	return e.value.Close()
}
