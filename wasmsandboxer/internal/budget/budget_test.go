package budget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSpend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Budget{Rate: 10, Burst: 50}
		begin := time.Now()
		spend := func(times int) time.Duration {
			for range times {
				if err := b.Spend(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(begin).Round(time.Millisecond)
		}
		if d := spend(50); d != 0 {
			t.Errorf("the burst took %v", d)
		}
		if d := spend(20); d != 2*time.Second {
			t.Errorf("20 more at 10 a second took %v", d)
		}
		time.Sleep(time.Hour)
		begin = time.Now()
		if d := spend(60); d != time.Second {
			t.Errorf("60 after an hour took %v: the burst is 50", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Spend(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait beyond the context: %v", err)
		}
	})
}
