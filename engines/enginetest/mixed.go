package enginetest

import (
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

// MixedEnv names the environment variable with how long RunMixed runs, as a duration.
const MixedEnv = "MIXED_DURATION"

// RunMixed runs guests of several engines in one process at the same time: faults of
// all sorts, guests that are killed, guests that count undisturbed, and panics of the
// program around them. Signal handlers and threads are the process's, so each engine has
// to leave the others theirs.
func RunMixed(t *testing.T, all []engines.Engine) {
	d := 2 * time.Second
	if s := os.Getenv(MixedEnv); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	const self = 5 // behind the five imports
	deep := newWASI()
	deep.Func("deep", i32, i32, nil, w.LocalGet(0), w.Call(self), w.I32Const(1), w.I32Add)
	faults := map[string][]byte{
		engines.TrapMemory:        trapping("boom", w.I32Const(-1), w.I32Load(0), w.Drop),
		engines.TrapDivideByZero:  trapping("boom", w.I32Const(1), w.I32Const(0), w.I32DivS, w.Drop),
		engines.TrapUnreachable:   trapping("boom", w.Unreachable),
		engines.TrapStackOverflow: deep.command(nil, w.I32Const(1), w.Call(self), w.Drop),
	}
	// What runs again and again, and how often it did; begun when all is compiled.
	type work struct {
		times *atomic.Int64
		once  func() bool
	}
	var works []work
	repeat := func(times *atomic.Int64, once func() bool) { works = append(works, work{times, once}) }
	traps, kills, counts := make([]atomic.Int64, len(all)), make([]atomic.Int64, len(all)), make([]atomic.Int64, len(all))
	var panics atomic.Int64
	for n, e := range all {
		name := e.Info().Name
		for kind, module := range faults {
			m := load(t, e, module)
			repeat(&traps[n], func() bool {
				exit := newGuest(t, m, wasip1.Config{}, engines.Config{}).run()
				if exit.Trap == nil || exit.Trap.Kind != kind {
					t.Errorf("%s: the guest ended with %s, want the trap %q", name, describe(exit), kind)
				}
				return exit.Trap != nil
			})
		}
		for _, g := range endless {
			m := load(t, e, g.module())
			repeat(&kills[n], func() bool { return killOnce(t, m, name+" "+g.name) })
		}
		m := load(t, e, counting())
		repeat(&counts[n], func() bool {
			wantCode(t, newGuest(t, m, wasip1.Config{}, engines.Config{}).run(), 50)
			return true
		})
	}
	repeat(&panics, func() bool { return dereferenceNil() != nil })
	end := time.Now().Add(d)
	var running sync.WaitGroup
	for _, work := range works {
		running.Go(func() {
			for time.Now().Before(end) && work.once() {
				work.times.Add(1)
				runtime.Gosched()
			}
		})
	}
	within(t, d+2*time.Minute, "guests of several engines", running.Wait)
	for n, e := range all {
		t.Logf("%s: %d traps, %d kills, %d guests undisturbed", e.Info().Name, traps[n].Load(), kills[n].Load(), counts[n].Load())
		if traps[n].Load() == 0 || kills[n].Load() == 0 || counts[n].Load() == 0 {
			t.Errorf("%s: some sort of guest never ran", e.Info().Name)
		}
	}
	t.Logf("%d panics", panics.Load())
	if panics.Load() == 0 {
		t.Error("nothing panicked")
	}
}

// killOnce kills a guest of m at some time of its life.
func killOnce(t *testing.T, m engines.Module, what string) bool {
	world, ends := fullWorld(t, wasip1.Config{})
	defer ends.close()
	g := newGuest(t, m, world, engines.Config{})
	exit := g.start()
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	within(t, time.Minute, "kill "+what, g.instance.Kill)
	x := <-exit
	if !x.Killed {
		t.Errorf("%s: the guest ended with %s, want killed", what, describe(x))
	}
	g.close()
	return x.Killed
}
