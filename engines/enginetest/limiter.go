package enginetest

import (
	"os"
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"

	"github.com/containerd/errdefs"
)

// testMemoryLimiter moves the limit of guests that grow by ten pages twice, each
// time when a byte comes.
func testMemoryLimiter(t *testing.T, e engines.Engine) {
	_, listed := e.Info().Capabilities[engines.LiveLimit]
	m := newWASI()
	step := cat(m.ready(), m.fill(0, 1), w.I32Const(10), w.MemoryGrow, w.Drop)
	module := load(t, e, m.command(nil, step, step, w.MemorySize, m.exitWith()))
	begin := func(t *testing.T) (g *guest, limiter engines.MemoryLimiter, in, out *os.File) {
		inR, in := pipe(t)
		out, outW := pipe(t)
		g = newGuest(t, module, wasip1.Config{Stdin: inR, Stdout: outW}, engines.Config{MemoryLimit: 5 * page})
		limiter, ok := g.instance.(engines.MemoryLimiter)
		if ok != listed {
			t.Fatalf("instances are MemoryLimiters: %v; the capability %q is listed: %v", ok, engines.LiveLimit, listed)
		}
		return g, limiter, in, out
	}
	set := func(t *testing.T, l engines.MemoryLimiter, pages uint64) {
		t.Helper()
		if err := l.SetMemoryLimit(pages * page); err != nil {
			t.Fatal(err)
		}
	}
	push := func(t *testing.T, in *os.File) {
		t.Helper()
		if _, err := in.Write([]byte{'x'}); err != nil {
			t.Fatal(err)
		}
	}
	if !listed {
		g, _, _, _ := begin(t)
		g.close()
		return
	}
	// toEleven lets the guest grow to 11 pages, under a limit set before and, once
	// more, after the run began.
	toEleven := func(t *testing.T) (<-chan engines.Exit, *guest, engines.MemoryLimiter, *os.File) {
		g, limiter, in, out := begin(t)
		set(t, limiter, 6)
		exit := g.start()
		waitReady(t, out)
		set(t, limiter, 11)
		push(t, in)
		waitReady(t, out)
		return exit, g, limiter, in
	}
	t.Run("Raised", func(t *testing.T) {
		exit, g, limiter, in := toEleven(t)
		set(t, limiter, 21)
		push(t, in)
		wantCode(t, <-exit, 21)
		g.close()
	})
	t.Run("TakenAway", func(t *testing.T) {
		exit, g, limiter, in := toEleven(t)
		set(t, limiter, 0)
		push(t, in)
		wantCode(t, <-exit, 21)
		g.close()
	})
	t.Run("BelowUse", func(t *testing.T) {
		exit, g, limiter, in := toEleven(t)
		err := limiter.SetMemoryLimit(10 * page)
		if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "640 KiB") || !strings.Contains(err.Error(), "704 KiB") {
			t.Errorf("10 pages for a guest with 11: %v", err)
		}
		push(t, in) // 11 pages are the limit still
		if got := <-exit; !got.OOM || !strings.Contains(got.Detail, "704 KiB") {
			t.Errorf("the guest ended with %s, want OOM at 704 KiB", describe(got))
		}
		g.close()
	})
	t.Run("Lowered", func(t *testing.T) {
		exit, g, limiter, in := toEleven(t)
		set(t, limiter, 30)
		set(t, limiter, 20)
		push(t, in)
		if got := <-exit; !got.OOM {
			t.Errorf("the guest ended with %s, want OOM", describe(got))
		}
		g.close()
	})
}
