package pods

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"blazar/bench/internal/lab"
)

// Many runs count pods of a contestant, at most parallel at a time, and returns
// their samples and how long it took from the first call to the last answer.
func (r *Runner) Many(ctx context.Context, e lab.Entrant, count, parallel int) ([]Sample, time.Duration, error) {
	var (
		mu      sync.Mutex // guards samples
		samples []Sample
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	begin := time.Now()
	for i := range count {
		g.Go(func() error {
			s, err := r.One(ctx, e)
			if err != nil {
				return fmt.Errorf("pod %d of %d: %w", i+1, count, err)
			}
			mu.Lock()
			defer mu.Unlock()
			samples = append(samples, s)
			return nil
		})
	}
	err := g.Wait()
	return samples, time.Since(begin), err
}
