package wasip1

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
)

// TestPointersPastMemory gives every pointer of every function addresses and
// lengths that do not fit: EFAULT (or another refusal), never a panic.
func TestPointersPastMemory(t *testing.T) {
	values := []uint64{0, 1, 3, 4, memSize - 1, memSize, memSize + 1, math.MaxInt32, 1 << 31, math.MaxUint32 - 7, math.MaxUint32, math.MaxUint64}
	for _, f := range Functions() {
		t.Run(f.Name, func(t *testing.T) {
			w, _ := preopened(t, "/", false, "file", "dir/x")
			if _, errno := w.open(3, "file", 0, true, 0); errno != ErrnoSuccess {
				t.Fatal(errno)
			}
			for _, v := range values {
				for i := range f.Params {
					args := make([]uint64, len(f.Params))
					for j := range args {
						args[j] = 3 // a directory, a short length
					}
					args[i] = v
					if f.Name == "poll_oneoff" {
						// Clock 0 at zero fires at once: nothing is waited for.
						clear(w.mem)
					}
					f.Call(w.System, w.mem, args)
					args[0] = 4
					f.Call(w.System, w.mem[:7], args)
					f.Call(w.System, nil, args)
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	const far = memSize - 2
	for _, c := range []struct {
		name string
		args []uint64
	}{
		{"args_get", []uint64{far, 0}}, {"args_get", []uint64{0, far}},
		{"args_sizes_get", []uint64{far, 0}}, {"args_sizes_get", []uint64{0, far}},
		{"environ_get", []uint64{far, 0}}, {"environ_sizes_get", []uint64{0, far}},
		{"clock_time_get", []uint64{0, 0, far}}, {"clock_res_get", []uint64{0, far}},
		{"random_get", []uint64{far, 10}}, {"random_get", []uint64{math.MaxUint32, math.MaxUint32}},
		{"fd_fdstat_get", []uint64{0, far}}, {"fd_filestat_get", []uint64{4, far}},
		{"fd_prestat_get", []uint64{3, far}}, {"fd_prestat_dir_name", []uint64{3, memSize, 1}},
		{"fd_read", []uint64{4, far, 1, 0}}, {"fd_read", []uint64{4, 0, 1, far}},
		{"fd_read", []uint64{4, 64, 1, 0}}, {"fd_pread", []uint64{4, 64, 1, 0, 0}},
		{"fd_readdir", []uint64{3, far, 100, 0, 0}}, {"fd_readdir", []uint64{3, 0, 100, 0, far}},
		{"fd_seek", []uint64{4, 0, 0, far}}, {"fd_tell", []uint64{4, far}},
		{"path_open", []uint64{3, 0, far, 10, 0, 0, 0, 0, 0}},
		{"path_readlink", []uint64{3, 0, 1, far, 100, 0}},
		{"path_filestat_get", []uint64{3, 0, far, 10, 0}},
		{"poll_oneoff", []uint64{far, 0, 1, 0}}, {"poll_oneoff", []uint64{0, far, 1, 0}}, {"poll_oneoff", []uint64{0, 0, 1, far}},
	} {
		w, _ := preopened(t, "/", false, "file")
		if _, errno := w.open(3, "file", 0, true, 0); errno != ErrnoSuccess {
			t.Fatal(errno)
		}
		clear(w.mem)
		// At 64 an iovec whose end lies past the memory, and whose sum overflows 32 bits.
		binary.LittleEndian.PutUint32(w.mem[64:], math.MaxUint32-3)
		binary.LittleEndian.PutUint32(w.mem[68:], 8)
		w.args = cstrings{[]string{"a"}, 8}
		w.env = w.args
		w.want(w.call(c.name, c.args...), ErrnoFault, fmt.Sprintf("%s%v", c.name, c.args))
	}
}

func TestCounts(t *testing.T) {
	w, _ := preopened(t, "/", false, "file")
	fd, errno := w.open(3, "file", 0, true, 0)
	w.must(errno)
	w.want(w.call("fd_read", fd, 0, maxIovecs+1, 0), ErrnoInval, "too many buffers")
	w.want(w.call("fd_read", fd, 0, math.MaxUint32, 0), ErrnoInval, "far too many buffers")
	w.want(w.call("poll_oneoff", 0, 0, 0, 0), ErrnoInval, "nothing to poll for")
	w.want(w.call("poll_oneoff", 0, 0, math.MaxUint32, 0), ErrnoInval, "too much to poll for")
	// Buffers that overlap may sum up to more than there is memory: all of it is
	// written again and again, up to what one call may, into nothing.
	w.mem = make([]byte, 8<<20)
	for i := range uint32(maxIovecs) {
		binary.LittleEndian.PutUint32(w.mem[i*8+4:], 8<<20)
	}
	w.must(w.call("fd_write", 1, 0, maxIovecs, 0))
	if got := w.u32(0); got != maxCount {
		t.Errorf("wrote %d, want %d", got, maxCount)
	}
}

// TestAllocations sees that what a guest asks for does not size the host's memory.
func TestAllocations(t *testing.T) {
	w, _ := preopened(t, "/", false, "file")
	fd, errno := w.open(3, "file", 0, true, 0)
	w.must(errno)
	for name, args := range map[string][]uint64{
		"fd_read":     {fd, 0, maxIovecs, 0},
		"random_get":  {0, memSize},
		"fd_readdir":  {3, 0, memSize, 0, 0},
		"path_open":   {3, 0, 0, memSize, 0, 0, 0, 0, 0},
		"fd_allocate": {fd, math.MaxInt64, math.MaxInt64},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			w.call(name, args...)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 64<<10 {
			t.Errorf("%s allocates %d bytes", name, n)
		}
	}
}

func TestDescriptorsAreBounded(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "file")
	w := newWorld(t, Config{Preopens: []Preopen{{Guest: "/", Dir: openDir(t, dir)}}, MaxDescriptors: 10})
	for fd := uint64(4); fd < 10; fd++ {
		if got, errno := w.open(3, "file", 0, false, 0); errno != ErrnoSuccess || got != fd {
			t.Errorf("descriptor %d, errno %d, want %d", got, errno, fd)
		}
	}
	_, errno := w.open(3, "new", oflagCreat, true, 0)
	w.want(errno, ErrnoMfile, "one too many")
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("the file was made all the same")
	}
	w.must(w.call("fd_close", 5))
	w.must(w.call("fd_close", 4))
	for _, want := range []uint64{4, 5} {
		if got, errno := w.open(3, "file", 0, false, 0); errno != ErrnoSuccess || got != want {
			t.Errorf("descriptor %d, errno %d, want the lowest free, %d", got, errno, want)
		}
	}
	w.want(w.call("fd_close", math.MaxUint32), ErrnoBadf, "closing a descriptor past the table")
	w.want(w.call("fd_renumber", 4, 4000), ErrnoBadf, "renumbering past the table")
	if _, err := New(Config{MaxDescriptors: 3, Preopens: make([]Preopen, 1)}); err == nil {
		t.Error("a preopen more than descriptors was accepted")
	}
}

func TestRecoveredPanicIsFault(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := define("broken", func(*System, memory, []uint64) Errno { panic("broken") })
	if errno := f.Call(s, nil, nil); errno != ErrnoFault {
		t.Errorf("errno %d", errno)
	}
	if s.panics.Load() != 1 {
		t.Error("the panic was not counted")
	}
	if errno := byName["sched_yield"].Call(s, nil, nil); errno != ErrnoSuccess {
		t.Errorf("a later call: errno %d", errno)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStringsReachTheGuest(t *testing.T) {
	if _, err := New(Config{Args: []string{"a\x00b"}}); err == nil {
		t.Error("an argument with NUL was accepted")
	}
	w := newWorld(t, Config{Args: []string{"a", "", "ccc"}, Env: []string{"A=1"}})
	w.must(w.call("args_sizes_get", 0, 4))
	if w.u32(0) != 3 || w.u32(4) != 7 {
		t.Errorf("%d arguments of %d bytes", w.u32(0), w.u32(4))
	}
	w.must(w.call("args_get", 16, 64))
	if !bytes.Equal(w.mem[64:71], []byte("a\x00\x00ccc\x00")) || w.u32(20) != 66 {
		t.Errorf("arguments %q, the second at %d", w.mem[64:71], w.u32(20))
	}
	w.must(w.call("environ_get", 16, 64))
	if !bytes.Equal(w.mem[64:68], []byte("A=1\x00")) {
		t.Errorf("environment %q", w.mem[64:68])
	}
}
