package ociwasm

import (
	"fmt"
	"time"
)

// maxFailures bounds what is remembered of failed compilations.
const maxFailures = 1024

// failures remembers failed compilations for a while, so that a pod in a crash
// loop does not compile the same broken module every few seconds.
type failures struct {
	ttl time.Duration
	m   map[string]failure
}

type failure struct {
	err   error
	until time.Time
}

func (f *failures) get(name string, now time.Time) error {
	e, ok := f.m[name]
	switch {
	case !ok:
		return nil
	case now.After(e.until):
		delete(f.m, name)
		return nil
	}
	return fmt.Errorf("not compiled again before %s: %w", e.until.UTC().Format(time.TimeOnly), e.err)
}

func (f *failures) put(name string, err error, now time.Time) {
	if f.ttl < 0 {
		return
	}
	for n, e := range f.m {
		if now.After(e.until) || len(f.m) >= maxFailures {
			delete(f.m, n)
		}
	}
	f.m[name] = failure{err: err, until: now.Add(f.ttl)}
}
