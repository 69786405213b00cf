package wasip1

import (
	"encoding/binary"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// datagrams is a pair of connected datagram sockets, the first for a guest.
func datagrams(t *testing.T) (a, b *os.File) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(p[0]), "a"), os.NewFile(uintptr(p[1]), "b")
}

func TestPollClocks(t *testing.T) {
	w := newWorld(t, Config{})
	start := time.Now()
	events, errno := w.poll(sub{kind: eventClock, d: time.Hour}, sub{kind: eventClock, d: 20 * time.Millisecond}, sub{kind: eventClock, d: 10 * time.Millisecond})
	took := time.Since(start)
	if errno != ErrnoSuccess || len(events) == 0 || events[len(events)-1].userdata != 2 || took < 10*time.Millisecond || took > 300*time.Millisecond {
		t.Errorf("%v, errno %d, after %v", events, errno, took)
	}

	at := func(id uint32, timeout uint64, flags uint16) (Errno, Errno) {
		b := w.mem[atData:][:sizeSubscription]
		clear(b)
		binary.LittleEndian.PutUint32(b[16:], id)
		binary.LittleEndian.PutUint64(b[24:], timeout)
		binary.LittleEndian.PutUint16(b[40:], flags)
		errno := w.call("poll_oneoff", atData, atData, 1, atResult) // the event lies over the subscription
		return errno, Errno(binary.LittleEndian.Uint16(w.mem[atData+8:]))
	}
	for _, c := range []struct {
		id      uint32
		timeout uint64
		flags   uint16
		want    Errno
	}{
		{clockRealtime, uint64(time.Now().Add(5 * time.Millisecond).UnixNano()), subclockAbstime, ErrnoSuccess},
		{clockRealtime, 1, subclockAbstime, ErrnoSuccess},
		{clockMonotonic, 1, subclockAbstime, ErrnoSuccess},
		{clockRealtime, 1000, 0, ErrnoSuccess},
		{clockThreadCPU, 0, subclockAbstime, ErrnoSuccess},
		{clockThreadCPU, 1000, 0, ErrnoNotsup},
		{clockProcessCPU, 1 << 62, subclockAbstime, ErrnoNotsup},
		{4, 1, 0, ErrnoInval},
		{clockMonotonic, 1, 2, ErrnoInval},
	} {
		if errno, got := at(c.id, c.timeout, c.flags); errno != ErrnoSuccess || got != c.want {
			t.Errorf("clock %d, %d, flags %d: errno %d, event %d, want %d", c.id, c.timeout, c.flags, errno, got, c.want)
		}
	}
}

func TestPollDescriptors(t *testing.T) {
	in, name := fifo(t)
	r, out := pair(t)
	defer func() { _ = r.Close() }()
	dir := t.TempDir()
	plant(t, dir, "file")
	w := newWorld(t, Config{Stdin: in, Stdout: out, Preopens: []Preopen{{Guest: "/", Dir: openDir(t, dir)}}})
	file, errno := w.open(3, "file", 0, true, 0)
	w.must(errno)
	events, errno := w.poll(
		sub{kind: eventFdRead}, // nothing there
		sub{kind: eventFdWrite, fd: 1},
		sub{kind: eventFdRead, fd: uint32(file)},
		sub{kind: eventFdWrite, fd: uint32(file)},
		sub{kind: eventFdRead, fd: 99},
		sub{kind: eventFdWrite}, // stdin is not for writing
		sub{kind: 9},
		sub{kind: eventClock, d: time.Hour},
	)
	want := []event{
		{1, ErrnoSuccess, eventFdWrite, pipeBuf, 0},
		{2, ErrnoSuccess, eventFdRead, 4, 0},
		{3, ErrnoSuccess, eventFdWrite, pipeBuf, 0},
		{4, ErrnoBadf, eventFdRead, 0, 0},
		{5, ErrnoNotcapable, eventFdWrite, 0, 0},
		{6, ErrnoInval, 9, 0, 0},
	}
	if errno != ErrnoSuccess || len(events) != len(want) {
		t.Fatalf("%v, errno %d, want %v", events, errno, want)
	}
	for i := range want {
		if events[i] != want[i] {
			t.Errorf("%v, want %v", events[i], want[i])
		}
	}

	// Data that comes wakes; the same descriptor may be asked for twice.
	errno, took := blocked(t, func() (e Errno) {
		events, e = w.poll(sub{kind: eventFdRead}, sub{kind: eventFdRead})
		return e
	}, func() {
		f := openFile(t, name, os.O_WRONLY)
		defer func() { _ = f.Close() }()
		if _, err := f.WriteString("abc"); err != nil {
			t.Error(err)
		}
	})
	if errno != ErrnoSuccess || len(events) != 2 || events[1].bytes != 3 || took > promptly {
		t.Errorf("%v, errno %d, after %v", events, errno, took)
	}
}

func TestClocks(t *testing.T) {
	runtime.LockOSThread() // as a guest's thread is
	defer runtime.UnlockOSThread()
	w := newWorld(t, Config{})
	now := func(id uint64) uint64 {
		w.must(w.call("clock_time_get", id, 0, atResult))
		w.must(w.call("clock_res_get", id, atResult+8))
		if w.u64(atResult+8) == 0 {
			t.Errorf("clock %d has no resolution", id)
		}
		return w.u64(atResult)
	}
	if got, host := now(0), uint64(time.Now().UnixNano()); host-got > uint64(time.Second) {
		t.Errorf("realtime is %d, the host's %d", got, host)
	}
	a, b := now(1), now(1)
	if a == 0 || b < a {
		t.Errorf("monotonic went from %d to %d", a, b)
	}
	before := now(3)
	for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
	}
	if spent := now(2) - before; spent == 0 {
		t.Error("a busy thread spent no time")
	}
	w.want(w.call("clock_time_get", 4, 0, atResult), ErrnoInval, "a clock that is none")
	w.want(w.call("clock_res_get", 4, atResult), ErrnoInval, "a clock that is none")
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		arg  uint64
		want Errno
		code uint32
		done bool
	}{
		{"proc_exit", 7, ErrnoSuccess, 7, true},
		{"proc_exit", 0, ErrnoSuccess, 0, true},
		{"proc_raise", 15, ErrnoSuccess, 143, true}, // TERM
		{"proc_raise", 6, ErrnoSuccess, 134, true},  // ABRT
		{"proc_raise", 30, ErrnoSuccess, 159, true}, // SYS is 31 to Linux
		{"proc_raise", 0, ErrnoSuccess, 0, false},
		{"proc_raise", 16, ErrnoSuccess, 0, false}, // CHLD
		{"proc_raise", 18, ErrnoNotsup, 0, false},  // STOP
		{"proc_raise", 31, ErrnoInval, 0, false},
	} {
		w := newWorld(t, Config{})
		w.want(w.call(c.name, c.arg), c.want, c.name)
		code, exited := w.ExitCode()
		if exited != c.done || code != c.code || w.Done() != c.done || w.Killed() {
			t.Errorf("%s %d: code %d, exited %v, done %v", c.name, c.arg, code, exited, w.Done())
		}
		if c.done {
			w.Kill()
			if code, exited := w.ExitCode(); !exited || code != c.code || w.Killed() {
				t.Errorf("a kill after the exit made it %d, %v", code, exited)
			}
		}
	}
}

func TestRandom(t *testing.T) {
	w := newWorld(t, Config{})
	w.must(w.call("random_get", atData, 4096))
	seen := map[byte]bool{}
	for _, b := range w.mem[atData : atData+4096] {
		seen[b] = true
	}
	if len(seen) < 200 {
		t.Errorf("%d different bytes of 256", len(seen))
	}
	if w.mem[atData-1] != 0 || w.mem[atData+4096] != 0 {
		t.Error("wrote beside the buffer")
	}
}
