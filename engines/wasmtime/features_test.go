//go:build cgo

package wasmtime

import (
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/wasip1"

	"github.com/containerd/errdefs"
)

const header = "\x00asm\x01\x00\x00\x00"

// TestSwitchedOff: what could not be ended or limited is refused, and the refusal
// says that it is this engine that lacks it.
func TestSwitchedOff(t *testing.T) {
	e := open(t)
	for name, module := range map[string]string{
		"SharedMemory": header + "\x05\x04\x01\x03\x01\x02",
		"Memory64":     header + "\x05\x03\x01\x04\x01",
		"Exceptions":   header + "\x01\x04\x01\x60\x00\x00" + "\x0d\x03\x01\x00\x00",
		"GC":           header + "\x01\x05\x01\x5f\x01\x7f\x00",
		"AtomicFence":  header + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x0a\x07\x01\x05\x00\xfe\x03\x00\x0b",
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Compile(t.Context(), []byte(module), t.TempDir())
			if !errdefs.IsNotImplemented(err) {
				t.Errorf("the error is %v, want not implemented", err)
			}
		})
	}
}

// TestMemoriesTogether: the limit is on the sum of several memories.
func TestMemoriesTogether(t *testing.T) {
	// Two memories of a page, the second of which grows by eight.
	module := header +
		"\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x05\x02\x00\x01\x00\x01" +
		"\x07\x0a\x01\x06_start\x00\x00" + "\x0a\x09\x01\x07\x00\x41\x08\x40\x01\x1a\x0b"
	for pages, oom := range map[uint64]bool{10: false, 9: true, 2: true, 1: true} {
		exit := runWith(t, []byte(module), pages*wasmPage)
		if exit.OOM != oom || exit.Err != nil || exit.Trap != nil {
			t.Errorf("two memories of 10 pages in all under a limit of %d: %+v", pages, exit)
		}
	}
}

const wasmPage = 64 << 10

func runWith(t *testing.T, module []byte, limit uint64) engines.Exit {
	t.Helper()
	e, dir := open(t), t.TempDir()
	if err := e.Compile(t.Context(), module, dir); err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wasip1.New(wasip1.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := m.New(t.Context(), engines.Config{System: s, MemoryLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	exit := i.Run()
	for _, closer := range []func() error{i.Close, s.Close, m.Close} {
		if err := closer(); err != nil {
			t.Error(err)
		}
	}
	return exit
}

// TestImage: data that is mapped and data that is copied are the same to a guest.
func TestImage(t *testing.T) {
	for name, offset := range map[string]int32{"First": 0, "Across": wasmPage - 2, "Last": 2*wasmPage - 4} {
		t.Run(name, func(t *testing.T) {
			var m wasmgen.Module
			m.Memory(2, 2)
			m.Data(offset, []byte{1, 2, 3, 4})
			m.ExportFunc("_start", m.Func("", nil, []wasmgen.ValueType{wasmgen.I32}, nil,
				wasmgen.I32Const(offset), wasmgen.I32Load(0)))
			p, err := newPrepared(m.Bytes())
			if err != nil || p.image == nil {
				t.Fatalf("no image was taken out of the module: %v", err)
			}
			if exit := runWith(t, m.Bytes(), 0); exit.Code != 0x04030201 {
				t.Errorf("the guest read %+v", exit)
			}
		})
	}
}

// TestDroppedSegment: a segment that has become part of the image is as dropped as
// the specification says.
func TestDroppedSegment(t *testing.T) {
	module := func(length string) []byte {
		return []byte(header + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
			"\x07\x0a\x01\x06_start\x00\x00" + "\x0c\x01\x01" +
			"\x0a\x0e\x01\x0c\x00\x41\x00\x41\x00\x41" + length + "\xfc\x08\x00\x00\x0b" + // memory.init 0
			"\x0b\x09\x01\x00\x41\x08\x0b\x03abc")
	}
	if p, err := newPrepared(module("\x00")); err != nil || p.image == nil {
		t.Fatalf("no image was taken out of the module: %v", err)
	}
	if exit := runWith(t, module("\x00"), 0); exit.Trap != nil || exit.Err != nil {
		t.Errorf("nothing of it: %+v", exit)
	}
	if exit := runWith(t, module("\x01"), 0); exit.Trap == nil || exit.Trap.Kind != engines.TrapMemory {
		t.Errorf("a byte of it: %+v", exit)
	}
}
