package enginetest

import (
	"strconv"

	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"
)

func uitoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

var (
	i32 = []w.ValueType{w.I32}
	i64 = w.I64
)

func i32s(n int) []w.ValueType {
	var t []w.ValueType
	for range n {
		t = append(t, w.I32)
	}
	return t
}

// wasi is a module under construction with the WASI functions that guests use.
type wasi struct {
	w.Module
	exit, write, read, poll, accept uint32
}

// Layout of a guest's memory: scratch for WASI calls below dataAt.
const (
	iovecAt  = 0x00 // one iovec
	resultAt = 0x10
	subAt    = 0x20 // one subscription, 48 bytes
	eventAt  = 0x60 // one event, 32 bytes
	dataAt   = 0x100
	bufferAt = 0x1000
	bufSize  = 0x8000
)

// newWASI starts a guest with one page of memory that may grow without end.
func newWASI() *wasi {
	m := &wasi{}
	m.exit = m.Import(wasip1.ModuleName, "proc_exit", i32, nil)
	m.write = m.Import(wasip1.ModuleName, "fd_write", i32s(4), i32)
	m.read = m.Import(wasip1.ModuleName, "fd_read", i32s(4), i32)
	m.poll = m.Import(wasip1.ModuleName, "poll_oneoff", i32s(4), i32)
	m.accept = m.Import(wasip1.ModuleName, "sock_accept", i32s(3), i32)
	return m
}

// command finishes the guest with a _start of the given body.
func (m *wasi) command(locals []w.ValueType, body ...[]byte) []byte {
	m.Memory(1, w.Unbounded)
	m.Command("_start", locals, body...)
	return m.Bytes()
}

func cat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func store(at, value int32) []byte { return cat(w.I32Const(at), w.I32Const(value), w.I32Store(0)) }

// exitWith calls proc_exit with the value on the stack.
func (m *wasi) exitWith() []byte { return w.Call(m.exit) }

// print writes n bytes at address at to descriptor fd and drops the errno.
func (m *wasi) print(fd, at, n int32) []byte {
	return cat(store(iovecAt, at), store(iovecAt+4, n),
		w.I32Const(fd), w.I32Const(iovecAt), w.I32Const(1), w.I32Const(resultAt), w.Call(m.write), w.Drop)
}

// ready tells the test, by one byte on stdout, that the guest has got this far.
func (m *wasi) ready() []byte { return m.print(1, dataAt, 1) }

// fill reads up to n bytes of descriptor fd into the buffer; the count is at resultAt.
func (m *wasi) fill(fd, n int32) []byte {
	return cat(store(iovecAt, bufferAt), store(iovecAt+4, n),
		w.I32Const(fd), w.I32Const(iovecAt), w.I32Const(1), w.I32Const(resultAt), w.Call(m.read), w.Drop)
}

// sleep waits on the monotonic clock for ns nanoseconds.
func (m *wasi) sleep(ns int64) []byte {
	return cat(
		w.I32Const(subAt+16), w.I32Const(1), w.I32Store(0), // clock id: monotonic
		w.I32Const(subAt+24), w.I64Const(ns), w.I64Store(0),
		w.I32Const(subAt), w.I32Const(eventAt), w.I32Const(1), w.I32Const(resultAt), w.Call(m.poll), w.Drop)
}

// Guests that never end by themselves. Each says it is ready first.

func spinning() []byte {
	m := newWASI()
	return m.command(nil, m.ready(), w.Loop(w.Br(0)))
}

// recursing calls itself 2^40 times without a loop, never deeper than 40.
func recursing() []byte {
	m := newWASI()
	const self = 5 // behind the five imports
	deep := cat(w.LocalGet(0), w.I32Const(1), w.I32Sub, w.Call(self))
	m.Func("deep", i32, nil, nil, w.LocalGet(0), w.If(deep, deep))
	return m.command(nil, m.ready(), w.I32Const(40), w.Call(self))
}

func sleeping() []byte {
	m := newWASI()
	return m.command(nil, m.ready(), m.sleep(int64(1e18)))
}

func reading() []byte {
	m := newWASI()
	return m.command(nil, m.ready(), m.fill(0, 1))
}

// accepting waits for a connection on descriptor 3.
func accepting() []byte {
	m := newWASI()
	return m.command(nil, m.ready(), w.I32Const(3), w.I32Const(0), w.I32Const(resultAt), w.Call(m.accept), m.exitWith())
}

// flooding writes to stderr until it is full, and waits.
func flooding() []byte {
	m := newWASI()
	return m.command(nil, m.ready(), w.Loop(m.print(2, bufferAt, bufSize), w.Br(0)))
}

// calling makes one short WASI call after the other.
func calling() []byte {
	m := newWASI()
	return m.command(nil, m.ready(), w.Loop(m.sleep(0), w.Br(0)))
}

// growing grows its memory by a page a time to its maximum, then exits with its size.
func growing(least, most int) []byte {
	m := newWASI()
	m.Memory(least, most)
	m.Command("_start", nil,
		w.Loop(w.I32Const(1), w.MemoryGrow, w.I32Const(-1), w.I32Ne, w.BrIf(0)),
		w.MemorySize, m.exitWith())
	return m.Bytes()
}

// echoing copies stdin to stdout and says so on stderr at the end.
func echoing() []byte {
	m := newWASI()
	m.Data(dataAt, []byte("done\n"))
	return m.command(nil,
		w.Block(w.Loop(
			m.fill(0, bufSize),
			w.I32Const(resultAt), w.I32Load(0), w.I32Eqz, w.BrIf(1),
			store(iovecAt, bufferAt), w.I32Const(iovecAt+4), w.I32Const(resultAt), w.I32Load(0), w.I32Store(0),
			w.I32Const(1), w.I32Const(iovecAt), w.I32Const(1), w.I32Const(resultAt), w.Call(m.write), w.Drop,
			w.Br(0))),
		m.print(2, dataAt, 5))
}

// exiting is the smallest guest: proc_exit(code).
func exiting(code int32) []byte {
	m := newWASI()
	return m.command(nil, w.I32Const(code), m.exitWith())
}
