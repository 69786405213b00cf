package enginetest

import (
	"sync"
	"testing"

	"blazar/engines"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

// Where scribbling looks and writes: in and beside its data, in the page behind its
// data, and in what it grows by.
var scribbles = []int32{dataAt, dataAt + 4, bufferAt, 0x9000, page + 8, 2*page - 4}

// scribbling finds its memory as the module declares it, then grows it and writes
// all over it. It exits with 0, or with the number of what was not as declared.
func scribbling() []byte {
	m := newWASI()
	m.Data(dataAt, []byte{1, 0, 0, 0})
	m.Data(0x9000, []byte{4, 0, 0, 0})
	m.Memory(2, 8)
	want := map[int32]int32{dataAt: 1, 0x9000: 4}
	fail := int32(0)
	expect := func(at, value int32) []byte {
		fail++
		return cat(w.I32Const(at), w.I32Load(0), w.I32Const(value), w.I32Ne, w.If(w.I32Const(fail), m.exitWith()))
	}
	body := cat(w.MemorySize, w.I32Const(2), w.I32Ne, w.If(w.I32Const(100), m.exitWith()))
	for _, at := range scribbles {
		body = cat(body, expect(at, want[at]), store(at, -1))
	}
	body = cat(body, w.I32Const(3), w.MemoryGrow, w.Drop)
	for _, at := range []int32{2 * page, 5*page - 4} {
		body = cat(body, expect(at, 0), store(at, -1))
	}
	m.Command("_start", nil, body)
	return m.Bytes()
}

// testFreshMemory: whatever an engine keeps for the next guest, it holds nothing
// of the last.
func testFreshMemory(t *testing.T, e engines.Engine) {
	m := load(t, e, scribbling())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				wantCode(t, newGuest(t, m, wasip1.Config{}, engines.Config{MemoryLimit: 5 * page}).run(), 0)
			}
		})
	}
	all.Wait()
}
