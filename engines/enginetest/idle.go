package enginetest

import (
	"flag"
	"sync"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
)

// idle is how many guests sleep at once.
var idle = flag.Int("enginetest.idle", 1000, "how many idle guests an engine holds at once")

// testManyIdle has a process hold many guests that sleep, and ends all of them at
// once: what one more costs stays small, and nothing of them is left.
func testManyIdle(t *testing.T, e engines.Engine) {
	count := *idle
	if testing.Short() || raceEnabled {
		count = 100
	}
	m := load(t, e, sleeping())
	before := measure(t)
	guests := make([]*guest, count)
	exits := make([]<-chan engines.Exit, count)
	for n := range guests {
		guests[n] = newGuest(t, m, wasip1.Config{}, engines.Config{MemoryLimit: 1 << 20})
		exits[n] = guests[n].start()
	}
	within(t, 60*time.Second, "starting all", func() {
		for _, g := range guests {
			for g.instance.(engines.MemoryReporter).MemoryBytes() == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	time.Sleep(100 * time.Millisecond) // into their sleep
	held := measure(t)
	each := (held.resident - before.resident) / int64(count)
	t.Logf("%d idle guests: %d KiB and %.2f threads each", count, each>>10, float64(held.threads-before.threads)/float64(count))
	if each > 512<<10 && !raceEnabled {
		t.Errorf("an idle guest holds %d KiB", each>>10)
	}
	within(t, 60*time.Second, "killing all", func() {
		var all sync.WaitGroup
		begin := time.Now()
		for n, g := range guests {
			all.Go(func() {
				g.instance.Kill()
				if exit := <-exits[n]; !exit.Killed {
					t.Errorf("guest %d ended with %s, want killed", n, describe(exit))
				}
				g.close()
			})
		}
		all.Wait()
		t.Logf("all were killed in %v", time.Since(begin))
	})
}
