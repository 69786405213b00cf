//go:build cgo && linux && amd64

package wasmedge

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

// loaded compiles and loads module until the test ends.
func loaded(t *testing.T, e engines.Engine, module []byte) engines.Module {
	t.Helper()
	dir := t.TempDir()
	if err := e.Compile(t.Context(), module, dir); err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// run runs a guest of m, killed after a while.
func run(t *testing.T, m engines.Module, patience time.Duration) engines.Exit {
	t.Helper()
	s, err := wasip1.New(wasip1.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := m.New(t.Context(), engines.Config{System: s})
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, i.Kill)
	defer timer.Stop()
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- i.Run()
	}()
	exit := <-done
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return exit
}

// TestStackEndsInLibrary: guests that recurse and at every depth have the library do
// something for them, which may be what steps over the stack's end, holding locks. They
// end as guests that used up their stack, whoever stepped over it, and the locks are free.
func TestStackEndsInLibrary(t *testing.T) {
	e := open(t)
	cat := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	growTable := []byte{0xd0, 0x70, 0x41, 0, 0xfc, 0x0f, 0, 0x1a} // ref.null func; i32.const 0; table.grow 0; drop
	for name, call := range map[string]struct {
		code    []byte
		imports bool
	}{
		"MemoryGrow": {code: cat(w.I32Const(0), w.MemoryGrow, w.Drop)},
		"TableGrow":  {code: growTable},
		"HostCall":   {code: cat(w.I32Const(99), w.Call(0), w.Drop), imports: true},
	} {
		t.Run(name, func(t *testing.T) {
			before := rescues()
			for frame := range 12 { // which makes the end come elsewhere
				var m w.Module
				self := uint32(0)
				if call.imports {
					self = m.Import(wasip1.ModuleName, "fd_close", []w.ValueType{w.I32}, []w.ValueType{w.I32}) + 1
				}
				m.Memory(1, 2)
				m.Table(1, 8)
				var locals []w.ValueType
				for range frame {
					locals = append(locals, w.I64)
				}
				m.Func("deep", []w.ValueType{w.I32}, []w.ValueType{w.I32}, locals, call.code, w.LocalGet(0), w.Call(self), w.I32Const(1), w.I32Add)
				m.Command("_start", nil, w.I32Const(1), w.Call(self), w.Drop)
				module := loaded(t, e, m.Bytes())
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() {
						for range 5 {
							exit := run(t, module, 20*time.Second)
							if exit.Trap == nil || exit.Trap.Kind != engines.TrapStackOverflow || exit.Trap.Function != "deep" {
								t.Errorf("with %d locals the guest ended with %+v (%v)", frame, exit, exit.Trap)
							}
						}
					})
				}
				all.Wait()
				if t.Failed() {
					return
				}
			}
			if rescues() == before {
				t.Error("the library has never stepped over a stack's end")
			}
		})
	}
}

// TestLargeFrame: a function whose frame is larger than a page's guard would be steps
// into the guard, and over nothing.
func TestLargeFrame(t *testing.T) {
	e := open(t)
	var m w.Module
	var locals []w.ValueType
	var sum []byte
	for i := range 40_000 {
		locals = append(locals, w.I64)
		sum = append(sum, w.LocalGet(uint32(i+1))...)
		sum = append(sum, w.Drop...)
	}
	const self = 0
	m.Func("deep", []w.ValueType{w.I32}, []w.ValueType{w.I32}, locals, sum, w.LocalGet(0), w.Call(self), w.I32Const(1), w.I32Add)
	m.Command("_start", nil, w.I32Const(1), w.Call(self), w.Drop)
	exit := run(t, loaded(t, e, m.Bytes()), 20*time.Second)
	if exit.Trap == nil || exit.Trap.Kind != engines.TrapStackOverflow {
		t.Errorf("the guest ended with %+v", exit)
	}
}
