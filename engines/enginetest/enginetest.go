// Package enginetest is the contract of package engines as tests: every engine
// passes the one table of cases in Run, over the real WASI layer and real pipes
// and sockets. Guests are modules that wasmgen writes, and one Go program.
package enginetest

import (
	"context"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
)

// cases are the contract, in the order in which it is easiest to debug.
var cases = []struct {
	name string
	run  func(t *testing.T, e engines.Engine)
}{
	{"Info", testInfo},
	{"ExitCodes", testExitCodes},
	{"Entries", testEntries},
	{"Traps", testTraps},
	{"Stdio", testStdio},
	{"GoProgram", testGoProgram},
	{"MemoryLimit", testMemoryLimit},
	{"MemoryReporter", testMemoryReporter},
	{"MemoryLimiter", testMemoryLimiter},
	{"FreshMemory", testFreshMemory},
	{"MemoryNotExported", testMemoryNotExported},
	{"Refusals", testRefusals},
	{"Truncated", testTruncated},
	{"Hostile", testHostile},
	{"Artifacts", testArtifacts},
	{"Kill", testKill},
	{"KillAroundRun", testKillAroundRun},
	{"Shutdown", testShutdown},
	{"Isolation", testIsolation},
	{"KillMany", testKillMany},
	{"ManyIdle", testManyIdle},
	{"PanicsBesideTraps", testPanicsBesideTraps},
	{"Interpret", testInterpret},
	{"Leaks", testLeaks},
}

// Run runs the contract suite; open makes the engine under test, once per case.
func Run(t *testing.T, open func(t *testing.T) engines.Engine) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// compile writes the artifact of module into a directory of its own.
func compile(t testing.TB, e engines.Engine, module []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := e.Compile(t.Context(), module, dir); err != nil {
		t.Fatalf("compile: %v", err)
	}
	return dir
}

// load compiles and loads module, which is closed after the test.
func load(t testing.TB, e engines.Engine, module []byte) engines.Module {
	t.Helper()
	m, err := e.Load(t.Context(), compile(t, e, module))
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close the module: %v", err)
		}
	})
	return m
}

// guest is one instance with its world.
type guest struct {
	t        testing.TB
	instance engines.Instance
	system   *wasip1.System
}

// newGuest makes an instance of m in the world w. The zero engines.Config is fine.
func newGuest(t testing.TB, m engines.Module, w wasip1.Config, c engines.Config) *guest {
	t.Helper()
	s, err := wasip1.New(w)
	if err != nil {
		t.Fatalf("make the world: %v", err)
	}
	c.System = s
	i, err := m.New(t.Context(), c)
	if err != nil {
		_ = s.Close() // the test fails already
		t.Fatalf("make the instance: %v", err)
	}
	return &guest{t, i, s}
}

// run runs the guest on a locked thread, as the contract wants, and frees it.
func (g *guest) run() engines.Exit {
	exit := g.runOnly()
	g.close()
	return exit
}

func (g *guest) runOnly() engines.Exit {
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- g.instance.Run()
	}()
	return <-done
}

// start runs the guest and returns at once.
func (g *guest) start() <-chan engines.Exit {
	done := make(chan engines.Exit, 1)
	go func() { done <- g.runOnly() }()
	return done
}

func (g *guest) close() {
	if err := g.instance.Close(); err != nil {
		g.t.Errorf("close the instance: %v", err)
	}
	if err := g.system.Close(); err != nil {
		g.t.Errorf("close the world: %v", err)
	}
}

// runModule compiles, loads and runs module with an empty world.
func runModule(t testing.TB, e engines.Engine, module []byte, c engines.Config) engines.Exit {
	t.Helper()
	return newGuest(t, load(t, e, module), wasip1.Config{}, c).run()
}

// wantCode checks that a guest ended by itself with that code.
func wantCode(t testing.TB, exit engines.Exit, code uint32) {
	t.Helper()
	if exit.Err != nil || exit.Trap != nil || exit.Killed || exit.OOM || exit.Code != code {
		t.Errorf("the guest ended with %s, want code %d", describe(exit), code)
	}
}

// describe prints an Exit for an error message.
func describe(e engines.Exit) string {
	var b strings.Builder
	switch {
	case e.Err != nil:
		b.WriteString("error " + e.Err.Error())
	case e.Killed:
		b.WriteString("killed")
	case e.OOM:
		b.WriteString("OOM " + e.Detail)
	case e.Trap != nil:
		b.WriteString(e.Trap.Error() + " (" + e.Trap.Message + ")")
	default:
		b.WriteString("code ")
		b.WriteString(uitoa(e.Code))
	}
	return b.String()
}

// openPipe makes a pipe.
func openPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// pipe makes a pipe whose ends are closed after the test if nobody has before.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w = openPipe(t)
	t.Cleanup(func() {
		_ = r.Close() // usually closed already
		_ = w.Close()
	})
	return r, w
}

// collect reads r to its end in the background.
func collect(r io.Reader) func() string {
	done := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(r) // what arrived before an error is what counts
		done <- string(b)
	}()
	return func() string { return <-done }
}

// within fails the test, with every goroutine's stack, if f takes longer.
func within(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		stacks := make([]byte, 1<<20)
		t.Fatalf("%s takes longer than %v\n%s", what, d, stacks[:runtime.Stack(stacks, true)])
	}
}

// background is for calls whose end must not depend on the test's end.
var background = context.Background()
