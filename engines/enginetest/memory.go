package enginetest

import (
	"strings"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

const page = 64 << 10

func testMemoryLimit(t *testing.T, e engines.Engine) {
	wantOOM := func(t *testing.T, exit engines.Exit) {
		t.Helper()
		if !exit.OOM || exit.Killed || exit.Trap != nil || exit.Err != nil {
			t.Fatalf("the guest ended with %s, want OOM", describe(exit))
		}
		if !strings.Contains(exit.Detail, "limit") {
			t.Errorf("the text %q does not tell the limit", exit.Detail)
		}
	}
	t.Run("OwnMaximum", func(t *testing.T) {
		wantCode(t, runModule(t, e, growing(1, 10), engines.Config{}), 10)
	})
	t.Run("OwnMaximumBelowLimit", func(t *testing.T) {
		wantCode(t, runModule(t, e, growing(1, 10), engines.Config{MemoryLimit: 11 * page}), 10)
	})
	t.Run("OwnMaximumAtLimit", func(t *testing.T) {
		wantCode(t, runModule(t, e, growing(1, 10), engines.Config{MemoryLimit: 10 * page}), 10)
	})
	t.Run("OverLimit", func(t *testing.T) {
		wantOOM(t, runModule(t, e, growing(1, 10), engines.Config{MemoryLimit: 9 * page}))
	})
	t.Run("OverLimitByBytes", func(t *testing.T) {
		wantOOM(t, runModule(t, e, growing(1, 10), engines.Config{MemoryLimit: 10*page - 1}))
	})
	t.Run("Unbounded", func(t *testing.T) {
		wantOOM(t, runModule(t, e, growing(1, w.Unbounded), engines.Config{MemoryLimit: 100 * page}))
	})
	t.Run("AllAtOnce", func(t *testing.T) {
		m := newWASI()
		wantOOM(t, runModule(t, e, m.command(nil, w.I32Const(60000), w.MemoryGrow, m.exitWith()), engines.Config{MemoryLimit: 100 * page}))
	})
	t.Run("MoreThanPossible", func(t *testing.T) {
		// More than 4 GiB is no memory of a module at all: -1, not OOM.
		m := newWASI()
		wantCode(t, runModule(t, e, m.command(nil, w.I32Const(-1), w.MemoryGrow, m.exitWith()), engines.Config{MemoryLimit: 100 * page}), 0xffffffff)
	})
	t.Run("InitialOverLimit", func(t *testing.T) {
		wantOOM(t, runModule(t, e, growing(100, w.Unbounded), engines.Config{MemoryLimit: 99 * page}))
	})
	t.Run("InitialAtLimit", func(t *testing.T) {
		wantCode(t, runModule(t, e, growing(100, 100), engines.Config{MemoryLimit: 100 * page}), 100)
	})
	t.Run("Usable", func(t *testing.T) {
		// The last byte of what was grown reads as zero and keeps what is written.
		m := newWASI()
		last := int32(11*page - 4)
		wantCode(t, runModule(t, e, m.command(nil,
			w.I32Const(10), w.MemoryGrow, w.Drop,
			w.I32Const(last), w.I32Load(0), w.If(w.Unreachable),
			store(last, 77), w.I32Const(last), w.I32Load(0), m.exitWith()), engines.Config{MemoryLimit: 11 * page}), 77)
	})
	t.Run("NoMemory", func(t *testing.T) {
		m := newWASI()
		m.Command("_start", nil, w.I32Const(3), m.exitWith())
		wantCode(t, runModule(t, e, m.Bytes(), engines.Config{MemoryLimit: page}), 3)
	})
}

// testMemoryNotExported: WASI calls use the memory exported as "memory"; a guest
// without gets errors from them and runs on.
func testMemoryNotExported(t *testing.T, e engines.Engine) {
	for name, memory := range map[string]func(m *wasi){
		"None":   func(*wasi) {},
		"Hidden": func(m *wasi) { m.HiddenMemory(1, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newWASI()
			memory(m)
			m.ExportFunc("_start", m.Func("", nil, i32, nil,
				w.I32Const(1), w.I32Const(0), w.I32Const(1), w.I32Const(16), w.Call(m.write)))
			const efault = 21
			wantCode(t, runModule(t, e, m.Bytes(), engines.Config{}), efault)
		})
	}
}

func testMemoryReporter(t *testing.T, e engines.Engine) {
	m := newWASI()
	module := load(t, e, m.command(nil, w.I32Const(15), w.MemoryGrow, w.Drop, m.ready(), m.sleep(int64(1e18))))
	outR, outW := pipe(t)
	g := newGuest(t, module, wasip1.Config{Stdout: outW}, engines.Config{})
	defer g.close()
	reporter, ok := g.instance.(engines.MemoryReporter)
	if !ok {
		t.Fatal("the engine's instances do not tell their memory")
	}
	if n := reporter.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes before the run", n)
	}
	exit := g.start()
	waitReady(t, outR)
	if n := reporter.MemoryBytes(); n != 16*page {
		t.Errorf("%d bytes while running, want %d", n, 16*page)
	}
	within(t, 10*time.Second, "kill", g.instance.Kill)
	<-exit
	if n := reporter.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes after the run", n)
	}
}
