//go:build cgo

package wasmtime

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/wasmbin"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

var kills = flag.Int("kills", 300, "kills of each sort of guest, at any moment")

// busy are guests that compute without end, most of the time in code of a certain sort.
var busy = map[string]func(m *w.Module, yield uint32){
	"loop": func(m *w.Module, _ uint32) { m.Command("_start", nil, w.Loop(w.Br(0))) },
	"memory": func(m *w.Module, _ uint32) {
		m.Command("_start", nil, w.Loop(w.I32Const(64), w.I32Const(64), w.I32Load(0), w.I32Store(0), w.Br(0)))
	},
	// Entered and left all the time: the frame pointer is another one at every moment.
	"leaf": func(m *w.Module, _ uint32) {
		leaf := m.Func("leaf", nil, nil, nil)
		m.Command("_start", nil, w.Loop(w.Call(leaf), w.Call(leaf), w.Br(0)))
	},
	"recursion": func(m *w.Module, _ uint32) {
		const self = 1 // behind the import
		deep := slices.Concat(w.LocalGet(0), w.I32Const(1), w.I32Sub, w.Call(self))
		m.Func("deep", []w.ValueType{w.I32}, nil, nil, w.LocalGet(0), w.If(deep, deep))
		m.Command("_start", nil, w.I32Const(40), w.Call(self))
	},
	"tail": func(m *w.Module, _ uint32) {
		const self = 1
		m.Func("again", nil, nil, nil, w.ReturnCall(self))
		m.Command("_start", nil, w.Call(self))
	},
	"indirect": func(m *w.Module, _ uint32) {
		leaf := m.Func("leaf", nil, nil, nil)
		m.Table(1, 1)
		m.Elem(0, leaf)
		m.Command("_start", nil, w.Loop(w.I32Const(0), w.CallIndirect(m.TypeIndex(nil, nil)), w.Br(0)))
	},
	// In trampolines and in Wasmtime itself nearly always.
	"grow": func(m *w.Module, _ uint32) {
		m.Command("_start", nil, w.Loop(w.I32Const(0), []byte{0x40, 0}, w.Drop, w.Br(0)))
	},
	"fill": func(m *w.Module, _ uint32) {
		m.Command("_start", nil, w.Loop(w.I32Const(0), w.I32Const(0), w.I32Const(65536), []byte{0xfc, 11, 0}, w.Br(0)))
	},
	"host": func(m *w.Module, yield uint32) {
		m.Command("_start", nil, w.Loop(w.Call(yield), w.Drop, w.Br(0)))
	},
}

func busyModule(t *testing.T, build func(*w.Module, uint32)) engines.Module {
	t.Helper()
	var m w.Module
	yield := m.Import(wasip1.ModuleName, "sched_yield", nil, []w.ValueType{w.I32})
	m.Memory(1, w.Unbounded)
	build(&m, yield)
	e, dir := open(t), t.TempDir()
	if err := e.Compile(t.Context(), m.Bytes(), dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := e.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
	})
	return loaded
}

// killOnce runs a guest, kills it at a random moment and returns how long that took.
func killOnce(t *testing.T, m engines.Module) (took time.Duration) {
	system, err := wasip1.New(wasip1.Config{})
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = system.Close() }() // has nothing
	i, err := m.New(t.Context(), engines.Config{System: system})
	if err != nil {
		t.Error(err)
		return 0
	}
	exits := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread() // and ends with it
		exits <- i.Run()
	}()
	if rand.IntN(2) == 0 {
		time.Sleep(time.Duration(rand.IntN(400)) * time.Microsecond)
	} else { // while Wasmtime makes it
		begun(i)
	}
	killed := make(chan time.Duration)
	go func() {
		begin := time.Now()
		i.Kill()
		killed <- time.Since(begin)
	}()
	select {
	case exit := <-exits:
		if !exit.Killed || exit.Trap != nil || exit.OOM || exit.Err != nil {
			t.Errorf("the guest ended with %+v, want killed", exit)
		}
	case <-time.After(time.Minute):
		t.Error("the guest does not end")
		return 0
	}
	took = <-killed
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	return took
}

// Images that are cut off or changed are refused, or read within their bounds.
func TestDamagedImage(t *testing.T) {
	dir := t.TempDir()
	var m w.Module
	m.Memory(1, w.Unbounded)
	m.Command("_start", nil, w.Loop(w.Br(0)))
	if err := open(t).Compile(t.Context(), m.Bytes(), dir); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(filepath.Join(dir, codeFile))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := textIn(image); err != nil || text.low == 0 || text.high <= text.trap || text.trap < text.low || text.function != 1 {
		t.Fatalf("%+v, %v", text, err)
	}
	for size := range len(image) {
		if _, err := textIn(slices.Clone(image[:size])); err == nil {
			t.Fatalf("found in %d of %d bytes", size, len(image))
		}
	}
	for range 20_000 {
		bad := slices.Clone(image)
		for range 1 + rand.IntN(4) {
			bad[rand.IntN(len(bad))] = byte(rand.IntN(256))
		}
		text, err := textIn(bad)
		low := uintptr(unsafe.Pointer(unsafe.SliceData(bad)))
		if err == nil && (uintptr(text.low) < low || uintptr(text.high) > low+uintptr(len(bad))) {
			t.Fatalf("found outside: %+v", text)
		}
	}
}

// The function that guests are sent to is one more, in whatever sections a module has,
// and the module is as valid as before.
func TestWithTrap(t *testing.T) {
	var full, bare, empty w.Module
	full.Import(wasip1.ModuleName, "sched_yield", nil, []w.ValueType{w.I32})
	full.Memory(1, 1)
	full.Data(0, []byte("data"))
	full.Command("_start", nil)
	yield := bare.Import(wasip1.ModuleName, "sched_yield", nil, []w.ValueType{w.I32})
	bare.Memory(1, 1)
	bare.Data(0, []byte("data"))
	bare.ExportFunc("_start", yield)
	for name, m := range map[string]*w.Module{"full": &full, "no functions": &bare, "nothing": &empty} {
		with, err := withTrap(m.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		before, after := lengths(t, m.Bytes()), lengths(t, with)
		for _, id := range []byte{wasmbin.SectionType, wasmbin.SectionFunction, wasmbin.SectionCode} {
			if after[id] != before[id]+1 {
				t.Errorf("%s: section %d has %d entries, want one more than %d", name, id, after[id], before[id])
			}
		}
		if err := open(t).Compile(t.Context(), m.Bytes(), t.TempDir()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func lengths(t *testing.T, module []byte) map[byte]uint32 {
	t.Helper()
	sections, err := wasmbin.Sections(module)
	if err != nil {
		t.Fatal(err)
	}
	all := map[byte]uint32{}
	for _, s := range sections {
		all[s.ID] = length(s.Body)
	}
	return all
}

// begun returns within a few microseconds of the begin of a run.
func begun(i engines.Instance) {
	in, ok := i.(*instance)
	for started := !ok; !started; {
		in.mu.Lock()
		started = in.started
		in.mu.Unlock()
	}
	for end := time.Now().Add(time.Duration(rand.IntN(40)) * time.Microsecond); time.Now().Before(end); {
	}
}

// A guest is ended wherever it is: in its code, at the edges of its functions, in
// trampolines, in Wasmtime and in the host; and by nothing but that.
func TestKillAnywhere(t *testing.T) {
	for name, build := range busy {
		t.Run(name, func(t *testing.T) {
			m := busyModule(t, build)
			var (
				mu   sync.Mutex // guards took
				took []time.Duration
				all  sync.WaitGroup
			)
			const workers = 4
			for range workers {
				all.Go(func() {
					for range (*kills + workers - 1) / workers {
						if d := killOnce(t, m); d > 0 {
							mu.Lock()
							took = append(took, d)
							mu.Unlock()
						}
						if t.Failed() {
							return
						}
					}
				})
			}
			all.Wait()
			if len(took) == 0 {
				t.Fatal("nothing was killed")
			}
			slices.Sort(took)
			t.Logf("%d kills: %v (median), %v (99 %%), %v (longest)", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		})
	}
}
