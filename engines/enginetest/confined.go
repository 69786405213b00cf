package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
	"blazar/internal/confine"
	"blazar/internal/confine/boot"
	"blazar/internal/testneeds"

	w "blazar/engines/enginetest/wasmgen"

	"golang.org/x/sys/unix"
)

// confinedGuests are run in a confined process, and how they shall end there.
var confinedGuests = map[string]struct {
	module func() []byte
	want   string
}{
	"exit": {func() []byte { return exiting(42) }, "code 42"},
	"data": {func() []byte {
		m := newWASI()
		m.Data(dataAt, []byte{77})
		return m.command(nil, w.I32Const(dataAt), w.I32Load(0), m.exitWith())
	}, "code 77"},
	"fault":  {func() []byte { return trapping("boom", w.I32Const(-1), w.I32Load(0), w.Drop) }, engines.TrapMemory},
	"divide": {func() []byte { return trapping("boom", w.I32Const(1), w.I32Const(0), w.I32DivS, w.Drop) }, engines.TrapDivideByZero},
	"deep": {func() []byte {
		m := newWASI()
		const self = 5 // behind the five imports
		m.Func("deep", i32, i32, nil, w.LocalGet(0), w.Call(self), w.I32Const(1), w.I32Add)
		return m.command(nil, w.I32Const(1), w.Call(self), w.Drop)
	}, engines.TrapStackOverflow},
	"grow":  {func() []byte { return growing(1, w.Unbounded) }, "OOM"},
	"spin":  {spinning, "killed"},
	"sleep": {sleeping, "killed"},
}

const (
	confinedUID = 0x6fff0001
	// confinedRounds is how often every guest runs there.
	confinedRounds = 3
)

// RunConfined runs guests in a process that is confined as a pod is: without
// privileges, below a seccomp filter, with nothing of the host but the artifacts. The
// process is the test binary itself, whose TestMain calls ConfinedMain first, with
// the environment env.
func RunConfined(t *testing.T, e engines.Engine, env ...string) {
	testneeds.Root(t)
	root := filepath.Join(t.TempDir(), "root")
	check(t, os.Mkdir(root, 0o755))
	check(t, unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"))
	t.Cleanup(func() { check(t, unix.Unmount(root, unix.MNT_DETACH)) })
	check(t, unix.Mount("", root, "", unix.MS_SHARED, ""))
	for name, g := range confinedGuests {
		dir := filepath.Join(root, name)
		check(t, os.Mkdir(dir, 0o755))
		check(t, e.Compile(t.Context(), g.module(), dir))
		for _, file := range files(t, dir) {
			check(t, os.Chmod(file, 0o444))
			check(t, os.Chmod(filepath.Dir(file), 0o755))
		}
	}
	for name, got := range askConfined(t, root, env) {
		if want := confinedGuests[name].want; got != want {
			t.Errorf("confined, the guest %s ended with %q, want %q", name, got, want)
		}
	}
}

// askConfined starts the confined process and returns how the guests ended in it.
func askConfined(t *testing.T, root string, env []string) map[string]string {
	filter, err := confine.Filter(confine.FilterOptions{})
	check(t, err)
	exe, err := os.Executable()
	check(t, err)
	p, err := confine.Start(t.Context(), confine.Config{
		Binary: exe, Args: []string{"-test.run=^$"}, Root: root, UID: confinedUID, GID: confinedUID,
		Filter: filter, Stderr: os.Stderr, Env: append([]string{"GOMAXPROCS=2"}, env...),
	})
	check(t, err)
	defer func() {
		check(t, p.Kill())
		ctx, cancel := context.WithTimeout(background, 10*time.Second)
		defer cancel()
		_, err := p.Wait(ctx)
		check(t, err)
		check(t, p.Close())
	}()
	check(t, p.Control.SetReadDeadline(time.Now().Add(60*time.Second)))
	b := make([]byte, 64<<10)
	n, err := p.Control.Read(b)
	if err != nil {
		t.Fatalf("the confined process says nothing: %v", err)
	}
	ends := map[string]string{}
	check(t, json.Unmarshal(b[:n], &ends))
	if len(ends) != len(confinedGuests) {
		t.Errorf("%d guests ran, want %d: %v", len(ends), len(confinedGuests), ends)
	}
	return ends
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ConfinedMain does nothing in a process that is not confined. In the one that
// RunConfined has started, it runs the guests, reports, and does not return.
func ConfinedMain(open func(context.Context) (engines.Engine, error)) {
	if !boot.Confined() {
		return
	}
	ends := map[string]string{}
	e, err := open(background)
	for name, g := range confinedGuests {
		for range confinedRounds {
			if err == nil && dereferenceNil() == nil {
				err = fmt.Errorf("a nil dereference did not panic")
			}
			if err == nil {
				ends[name], err = confinedGuest(e, "/"+name, g.want == "killed")
			}
			if err != nil {
				ends[name] = err.Error()
			}
		}
	}
	c, err := net.FileConn(os.NewFile(3, "control"))
	if err == nil {
		err = json.NewEncoder(c).Encode(ends)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {} // until the test ends this process
}

// confinedGuest runs the artifact in dir to its end, or until it is killed.
func confinedGuest(e engines.Engine, dir string, kill bool) (string, error) {
	m, err := e.Load(background, dir)
	if err != nil {
		return "", err
	}
	s, err := wasip1.New(wasip1.Config{})
	if err != nil {
		return "", err
	}
	i, err := m.New(background, engines.Config{System: s, MemoryLimit: 10 * page})
	if err != nil {
		return "", err
	}
	if kill {
		end := time.AfterFunc(100*time.Millisecond, i.Kill)
		defer end.Stop()
	}
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- i.Run()
	}()
	exit := <-done
	for _, closer := range []func() error{i.Close, s.Close, m.Close} {
		if err := closer(); err != nil {
			return "", err
		}
	}
	switch {
	case exit.Trap != nil:
		return exit.Trap.Kind, nil
	case exit.OOM:
		return "OOM", nil
	}
	return describe(exit), nil
}
