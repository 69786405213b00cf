package intask

import (
	"context"
	"errors"
	"sync"
	"time"
)

// sample is one start: how long until Create (or fork and exec) was answered, and
// until the first byte was there. What a runner has no such step for is 0.
type sample struct{ created, first time.Duration }

// runner starts guests one way.
type runner interface {
	// batch runs n guests at the same moment and returns a sample for each.
	batch(ctx context.Context, n int) ([]sample, error)
	// close takes down what the runner has.
	close() error
}

// together calls run n times at the same moment, each on a goroutine of its own.
func together(n int, run func(i int) (sample, error)) ([]sample, error) {
	samples, errs := make([]sample, n), make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			samples[i], errs[i] = run(i)
		})
	}
	close(begin)
	wg.Wait()
	return samples, errors.Join(errs...)
}
