package v2guest

import (
	"testing"
	"time"
)

// tscKHz measures how fast the time stamp counter is, which is the emulated machine's
// too. A kernel that has to find out by itself is far out on a busy host: its seconds
// were a quarter of one. Other clocks of the machine are right, and slow: it takes half
// as long again with them.
func tscKHz() uint64 {
	a, ta := tick()
	time.Sleep(200 * time.Millisecond)
	b, tb := tick()
	return (b - a) * uint64(time.Millisecond) / uint64(tb.Sub(ta))
}

// tick reads both clocks at nearly the same time: the closest of some pairs.
func tick() (counter uint64, at time.Time) {
	best := time.Duration(1<<63 - 1)
	for range 50 {
		before := time.Now()
		c := rdtsc()
		if d := time.Since(before); d < best {
			best, counter, at = d, c, before.Add(d/2)
		}
	}
	return counter, at
}

func TestTSC(t *testing.T) {
	a, b := tscKHz(), tscKHz()
	if a < 100_000 || a > 20_000_000 || max(a, b)-min(a, b) > a/100 {
		t.Errorf("%d kHz, %d kHz", a, b)
	}
}
