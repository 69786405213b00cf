// Package budget bounds how much one pod can make the daemon do.
package budget

import (
	"context"
	"time"
)

// Budget is spent and grows again by Rate a second, up to Burst, with which it
// begins. Not safe for concurrent use.
type Budget struct {
	Rate, Burst float64

	spent float64 // of Burst, as of at
	at    time.Time
}

// Spend takes n, after waiting for it if that much is not there. The error is ctx's.
func (b *Budget) Spend(ctx context.Context, n float64) error {
	now := time.Now()
	if !b.at.IsZero() {
		b.spent = max(0, b.spent-b.Rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	b.spent += n
	if b.spent <= b.Burst {
		return nil
	}
	t := time.NewTimer(time.Duration((b.spent - b.Burst) / b.Rate * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
