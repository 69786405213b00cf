package wazero

import (
	"sync"

	"blazar/engines"
)

// shared holds the code that is loaded in this process, by the digest of its
// module, so that containers of the same image pay for it once. The zero value
// is ready. Safe for concurrent use.
type shared struct {
	mu      sync.Mutex // guards entries and their refs; never held while loading
	entries map[string]*entry
}

type entry struct {
	refs int
	once sync.Once
	code *code
	err  error
}

// get returns a Module over the code of that digest, loaded by load if no other
// is open. A failure is not kept: the next call tries again.
func (s *shared) get(digest string, load func() (*code, error)) (engines.Module, error) {
	s.mu.Lock()
	if s.entries == nil {
		s.entries = map[string]*entry{}
	}
	e := s.entries[digest]
	if e == nil {
		e = &entry{}
		s.entries[digest] = e
	}
	e.refs++
	s.mu.Unlock()
	e.once.Do(func() { e.code, e.err = load() })
	if e.err != nil {
		_ = s.put(digest, e) // closes nothing: there is no code
		return nil, e.err
	}
	return &module{code: e.code, release: sync.OnceValue(func() error { return s.put(digest, e) })}, nil
}

// put gives one reference back and closes the code with the last one.
func (s *shared) put(digest string, e *entry) error {
	s.mu.Lock()
	e.refs--
	last := e.refs == 0
	if (last || e.err != nil) && s.entries[digest] == e {
		delete(s.entries, digest)
	}
	s.mu.Unlock()
	if !last || e.code == nil {
		return nil
	}
	return e.code.close()
}
