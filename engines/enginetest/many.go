package enginetest

import (
	"errors"
	"flag"
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

// counting counts up in memory and exits with how far it came from zero: other
// than its own steps, it would have seen another instance's memory.
func counting() []byte {
	m := newWASI()
	step := cat(w.I32Const(dataAt), w.I32Const(dataAt), w.I32Load(0), w.I32Const(1), w.I32Add, w.I32Store(0))
	return m.command(nil,
		w.Loop(step, m.sleep(100_000), w.I32Const(dataAt), w.I32Load(0), w.I32Const(50), w.I32LtU, w.BrIf(0)),
		w.I32Const(dataAt), w.I32Load(0), m.exitWith())
}

func testIsolation(t *testing.T, e engines.Engine) {
	m := load(t, e, counting())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { wantCode(t, newGuest(t, m, wasip1.Config{}, engines.Config{}).run(), 50) })
	}
	all.Wait()
}

// testKillMany runs 64 guests of all sorts at once, kills each at a random time,
// and runs others among them to their end.
func testKillMany(t *testing.T, e engines.Engine) {
	const guests = 64
	var modules []engines.Module
	var names []string
	for n, g := range endless {
		if m, ok := loadEndless(t, e, n); ok {
			modules, names = append(modules, m), append(names, g.name)
		}
	}
	bystander := load(t, e, counting())
	var all sync.WaitGroup
	within(t, 120*time.Second, "killing many guests", func() {
		for n := range guests {
			world, ends := fullWorld(t, wasip1.Config{})
			all.Go(func() {
				defer ends.close()
				g := newGuest(t, modules[n%len(modules)], world, engines.Config{})
				exit := g.start()
				time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
				g.instance.Kill()
				if exit := <-exit; !exit.Killed {
					t.Errorf("guest %d (%s) ended with %s, want killed", n, names[n%len(names)], describe(exit))
				}
				g.close()
			})
			if n%16 == 0 {
				all.Go(func() { wantCode(t, newGuest(t, bystander, wasip1.Config{}, engines.Config{}).run(), 50) })
			}
		}
		all.Wait()
	})
}

// soak is how long faults of all sorts go on side by side.
var soak = flag.Duration("enginetest.soak", time.Second, "how long engines' faults go on beside panics")

// testPanicsBesideTraps: faults of guests and nil dereferences of the program
// around them at the same time, each ending where it belongs.
func testPanicsBesideTraps(t *testing.T, e engines.Engine) {
	modules := []engines.Module{
		load(t, e, trapping("boom", w.I32Const(-1), w.I32Load(0), w.Drop)),
		load(t, e, trapping("boom", w.I32Const(1), w.I32Const(0), w.I32DivS, w.Drop)),
		load(t, e, trapping("boom", w.Unreachable)),
	}
	end := time.Now().Add(*soak)
	var traps, panics atomic.Int64
	var all sync.WaitGroup
	for _, m := range modules {
		all.Go(func() {
			for time.Now().Before(end) {
				if exit := newGuest(t, m, wasip1.Config{}, engines.Config{}).run(); exit.Trap == nil {
					t.Errorf("the guest ended with %s, want a trap", describe(exit))
					return
				}
				traps.Add(1)
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for time.Now().Before(end) {
				if err := dereferenceNil(); err == nil {
					t.Error("a nil dereference did not panic")
					return
				}
				panics.Add(1)
				runtime.Gosched()
			}
		})
	}
	within(t, *soak+60*time.Second, "panics beside traps", all.Wait)
	t.Logf("%d traps beside %d panics", traps.Load(), panics.Load())
	if traps.Load() == 0 || panics.Load() == 0 {
		t.Error("one side never ran")
	}
}

func dereferenceNil() (err error) {
	defer func() {
		var fault runtime.Error
		if r, ok := recover().(error); ok && errors.As(r, &fault) {
			err = fault
		}
	}()
	var p *struct{ f *os.File }
	_ = p.f.Name()
	return nil
}

func testInterpret(t *testing.T, e engines.Engine) {
	interpreter, ok := e.(engines.Interpreter)
	if !ok {
		return // the engine compiles only, and its matrix says so
	}
	interpret := func(t *testing.T, module []byte) engines.Module {
		m, err := interpreter.Interpret(t.Context(), module)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Errorf("close the module: %v", err)
			}
		})
		return m
	}
	wantCode(t, newGuest(t, interpret(t, exiting(6)), wasip1.Config{}, engines.Config{}).run(), 6)
	exit := newGuest(t, interpret(t, trapping("boom", w.Unreachable)), wasip1.Config{}, engines.Config{}).run()
	if trap := wantTrap(t, exit, engines.TrapUnreachable); trap.Function != "boom" {
		t.Errorf("the trap is in %q", trap.Function)
	}
	exit = newGuest(t, interpret(t, growing(1, w.Unbounded)), wasip1.Config{}, engines.Config{MemoryLimit: 10 * page}).run()
	if !exit.OOM {
		t.Errorf("the guest ended with %s, want OOM", describe(exit))
	}
	for _, g := range endless {
		t.Run(g.name, func(t *testing.T) { killReady(t, interpret(t, g.module()), wasip1.Config{}) })
	}
	if _, err := interpreter.Interpret(background, []byte("\x00asm\x01\x00\x00")); err == nil {
		t.Error("a truncated module was accepted")
	}
}
