package enginetest

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
)

// usage is what a process holds.
type usage struct {
	descriptors, threads, goroutines int
	resident                         int64 // bytes
}

func measure(t testing.TB) usage {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	count := func(dir string) int {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	u := usage{count("/proc/self/fd"), count("/proc/self/task"), runtime.NumGoroutine(), 0}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	u.resident = resident * int64(os.Getpagesize())
	return u
}

// testLeaks starts and ends guests over and over, a third of them killed while
// they run, and modules with them; the process must not grow.
func testLeaks(t *testing.T, e engines.Engine) {
	cycles := 2000
	if testing.Short() || raceEnabled {
		cycles = 200
	}
	dir := compile(t, e, spinning())
	quick := load(t, e, exiting(0))
	reader := load(t, e, reading())
	cycle := func(n int) {
		world, ends := fullWorld(t, wasip1.Config{})
		defer ends.close()
		if n%3 == 0 {
			wantCode(t, newGuest(t, quick, world, engines.Config{MemoryLimit: 1 << 20}).run(), 0)
			return
		}
		m := reader
		if n%3 == 1 {
			var err error
			if m, err = e.Load(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := m.Close(); err != nil {
					t.Errorf("close the module: %v", err)
				}
			}()
		}
		g := newGuest(t, m, world, engines.Config{})
		exit := g.start()
		waitReady(t, ends.stdout)
		g.instance.Kill()
		<-exit
		g.close()
	}
	for n := range cycles / 4 {
		cycle(n)
	}
	before := measure(t)
	for n := range cycles {
		cycle(n)
	}
	after := measure(t)
	for wait := time.Millisecond; wait < 2*time.Second && after.goroutines > before.goroutines; wait *= 2 {
		time.Sleep(wait) // goroutines that were told to end need a moment
		after = measure(t)
	}
	t.Logf("after %d cycles: %+v, before: %+v", cycles, after, before)
	if after.descriptors > before.descriptors {
		t.Errorf("%d descriptors, %d before", after.descriptors, before.descriptors)
	}
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
	}
	// Go keeps a few idle threads, and as many of them as it once needed at once.
	if after.threads > before.threads+10 {
		t.Errorf("%d threads, %d before", after.threads, before.threads)
	}
	// What a process keeps for good comes in the first cycles; a leak of a page in
	// each would be twice this.
	if grown := after.resident - before.resident; grown > 4<<20 && !raceEnabled {
		t.Errorf("the process has grown by %d KiB in %d cycles", grown>>10, cycles)
	}
}
