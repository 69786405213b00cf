package enginetest

import (
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"

	"github.com/containerd/errdefs"

	w "blazar/engines/enginetest/wasmgen"
)

// killLimit is what a test allows a kill to take. The goal, 10 ms, is for a
// machine that does nothing else; the median is logged for a person to read.
const killLimit = 2 * time.Second

// endless are the guests that never end by themselves, and what they are doing.
var endless = []struct {
	name   string
	module func() []byte
}{
	{"Spinning", spinning},
	{"Recursing", recursing},
	{"TailCalling", tailCalling},
	{"Sleeping", sleeping},
	{"Reading", reading},
	{"Polling", polling},
	{"Accepting", accepting},
	{"Flooding", flooding},
	{"Calling", calling},
}

// TailCalls is the row of an engine's capability matrix that says "no" where an engine
// refuses modules with tail calls.
const TailCalls = "tail calls"

// loadEndless loads one of endless; ok is false where the engine refuses it, as its
// capabilities say.
func loadEndless(t *testing.T, e engines.Engine, n int) (m engines.Module, ok bool) {
	t.Helper()
	if endless[n].name != "TailCalling" || e.Info().Capabilities[TailCalls] != "no" {
		return load(t, e, endless[n].module()), true
	}
	if err := e.Compile(t.Context(), endless[n].module(), t.TempDir()); !errdefs.IsNotImplemented(err) {
		t.Errorf("tail calls: %v, want not implemented", err)
	}
	return nil, false
}

// tailCalling calls itself for ever without a loop and without a deeper stack.
func tailCalling() []byte {
	m := newWASI()
	const self = 5 // behind the five imports
	m.Func("again", nil, nil, nil, w.ReturnCall(self))
	return m.command(nil, m.ready(), w.Call(self))
}

// polling waits in poll_oneoff for stdin to be readable.
func polling() []byte {
	m := newWASI()
	return m.command(nil, m.ready(),
		w.I32Const(subAt+8), w.I32Const(1), w.I32Store(0), // type: fd_read, of descriptor 0
		w.I32Const(subAt), w.I32Const(eventAt), w.I32Const(1), w.I32Const(resultAt), w.Call(m.poll), m.exitWith())
}

func testKill(t *testing.T, e engines.Engine) {
	for n, g := range endless {
		t.Run(g.name, func(t *testing.T) {
			if m, ok := loadEndless(t, e, n); ok {
				killReady(t, m, wasip1.Config{})
			}
		})
	}
}

// killReady starts guests of m, kills each when it has said that it is ready, and
// logs how long that took.
func killReady(t *testing.T, m engines.Module, world wasip1.Config) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	var took []time.Duration
	for range rounds {
		world, ends := fullWorld(t, world)
		g := newGuest(t, m, world, engines.Config{})
		exit := g.start()
		waitReady(t, ends.stdout)
		time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond) // into whatever it waits in
		begin := time.Now()
		within(t, killLimit, "kill", g.instance.Kill)
		took = append(took, time.Since(begin))
		if exit := <-exit; !exit.Killed || exit.OOM || exit.Trap != nil || exit.Err != nil {
			t.Fatalf("the guest ended with %s, want killed", describe(exit))
		}
		g.instance.Kill() // again, afterwards
		g.close()
		g.instance.Kill() // and after that
		ends.close()
	}
	slices.Sort(took)
	t.Logf("kill took %v (median), %v (longest)", took[len(took)/2], took[len(took)-1])
}

// ends are the host's ends of a guest's pipes.
type ends struct {
	stdin, stdout, stderr *os.File
	listener              net.Listener
}

func (e ends) close() {
	for _, f := range []*os.File{e.stdin, e.stdout, e.stderr} {
		_ = f.Close() // a pipe's end; nothing is lost
	}
	_ = e.listener.Close()
}

// fullWorld adds to world three pipes, nobody reading stderr or writing stdin,
// and a listener. The caller closes the host's ends; the test would keep what it
// is to clean up, and look like a leak.
func fullWorld(t testing.TB, world wasip1.Config) (wasip1.Config, ends) {
	t.Helper()
	inR, inW := openPipe(t)
	outR, outW := openPipe(t)
	errR, errW := openPipe(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	world.Stdin, world.Stdout, world.Stderr, world.Listeners = inR, outW, errW, []*os.File{f}
	return world, ends{inW, outR, errR, l}
}

// waitReady waits until a guest has written something to stdout.
func waitReady(t testing.TB, stdout *os.File) {
	t.Helper()
	if err := stdout.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatalf("the guest does not get ready: %v", err)
	}
}

func testKillAroundRun(t *testing.T, e engines.Engine) {
	m := load(t, e, spinning())
	t.Run("BeforeRun", func(t *testing.T) {
		g := newGuest(t, m, wasip1.Config{}, engines.Config{})
		within(t, killLimit, "kill before run", g.instance.Kill)
		within(t, killLimit, "run after kill", func() {
			if exit := g.run(); !exit.Killed {
				t.Errorf("the guest ended with %s, want killed", describe(exit))
			}
		})
	})
	t.Run("InsteadOfRun", func(t *testing.T) {
		g := newGuest(t, m, wasip1.Config{}, engines.Config{})
		g.instance.Kill()
		g.close()
	})
	t.Run("WithoutRun", func(t *testing.T) {
		g := newGuest(t, m, wasip1.Config{}, engines.Config{})
		g.close()
		g.close()
	})
	t.Run("SystemOnly", func(t *testing.T) {
		// The world alone is killed: a guest that waits in it ends as killed too.
		world, ends := fullWorld(t, wasip1.Config{})
		defer ends.close()
		g := newGuest(t, load(t, e, sleeping()), world, engines.Config{})
		exit := g.start()
		waitReady(t, ends.stdout)
		g.system.Kill()
		within(t, killLimit, "end of the guest", func() {
			if exit := <-exit; !exit.Killed {
				t.Errorf("the guest ended with %s, want killed", describe(exit))
			}
		})
		g.close()
	})
	t.Run("AtOnceFromMany", func(t *testing.T) {
		for range 50 {
			g := newGuest(t, m, wasip1.Config{}, engines.Config{})
			exit := g.start()
			within(t, killLimit, "kill from many goroutines", func() {
				var all sync.WaitGroup
				for range 4 {
					all.Go(g.instance.Kill)
				}
				all.Wait()
			})
			if exit := <-exit; !exit.Killed {
				t.Fatalf("the guest ended with %s, want killed", describe(exit))
			}
			g.close()
		}
	})
	t.Run("OwnEndWins", func(t *testing.T) {
		g := newGuest(t, load(t, e, exiting(5)), wasip1.Config{}, engines.Config{})
		wantCode(t, g.runOnly(), 5)
		g.instance.Kill()
		g.close()
	})
}

// testShutdown: what SIGTERM does to a guest that listens. Its accept fails, and
// it ends by itself.
func testShutdown(t *testing.T, e engines.Engine) {
	world, ends := fullWorld(t, wasip1.Config{})
	defer ends.close()
	g := newGuest(t, load(t, e, accepting()), world, engines.Config{})
	exit := g.start()
	waitReady(t, ends.stdout)
	g.system.Shutdown()
	within(t, killLimit, "shutdown", func() {
		if exit := <-exit; exit.Killed || exit.Err != nil || exit.Trap != nil || exit.Code == 0 {
			t.Errorf("the guest ended with %s, want the errno of its accept", describe(exit))
		}
	})
	g.close()
}
