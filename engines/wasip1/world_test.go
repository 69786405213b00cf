package wasip1

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if run := os.Getenv(confinedEnv); run != "" {
		os.Exit(confinedMain(run))
	}
	goleak.VerifyTestMain(m)
}

// world is a guest without an engine: memory, and calls by name.
type world struct {
	*System
	t   testing.TB
	mem []byte
}

// Where in memory the helpers below put things.
const (
	atPath   = 0x1000
	atPath2  = 0x3000
	atResult = 0x8000
	atIovecs = 0x9000
	atData   = 0x10000
	memSize  = 1 << 20
)

func newWorld(t testing.TB, c Config) *world {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{System: s, t: t, mem: make([]byte, memSize)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := s.panics.Load(); n > 0 {
			t.Errorf("%d panics in host functions", n)
		}
	})
	return w
}

var byName = func() map[string]Function {
	m := map[string]Function{}
	for _, f := range Functions() {
		m[f.Name] = f
	}
	return m
}()

func (w *world) call(name string, args ...uint64) Errno {
	f, ok := byName[name]
	if !ok || len(args) != len(f.Params) {
		w.t.Fatalf("%s with %d arguments", name, len(args))
	}
	return f.Call(w.System, w.mem, args)
}

func (w *world) must(errno Errno) {
	w.t.Helper()
	if errno != ErrnoSuccess {
		w.t.Fatalf("errno %d", errno)
	}
}

func (w *world) want(errno, want Errno, what string) {
	w.t.Helper()
	if errno != want {
		w.t.Errorf("%s: errno %d, want %d", what, errno, want)
	}
}

func (w *world) put(at int, s string) (ptr, n uint64) {
	copy(w.mem[at:], s)
	return uint64(at), uint64(len(s))
}

func (w *world) u32(at int) uint32 { return binary.LittleEndian.Uint32(w.mem[at:]) }
func (w *world) u64(at int) uint64 { return binary.LittleEndian.Uint64(w.mem[at:]) }

// open is path_open that follows links, with all rights but those of writing
// unless write is set.
func (w *world) open(dir uint64, path string, oflags uint64, write bool, flags fdflags) (uint64, Errno) {
	base := rightsAll &^ rightsWriting
	if write {
		base = rightsAll
	}
	p, n := w.put(atPath, path)
	errno := w.call("path_open", dir, lookupSymlinkFollow, p, n, oflags, uint64(base), uint64(rightsAll), uint64(flags), atResult)
	return uint64(w.u32(atResult)), errno
}

// at is a call whose arguments are a directory and a path.
func (w *world) at(name string, dir uint64, path string) Errno {
	p, n := w.put(atPath, path)
	return w.call(name, dir, p, n)
}

func (w *world) stat(dir uint64, path string, flags uint64) Errno {
	p, n := w.put(atPath, path)
	return w.call("path_filestat_get", dir, flags, p, n, atResult)
}

func (w *world) iovec(n int) {
	binary.LittleEndian.PutUint32(w.mem[atIovecs:], atData)
	binary.LittleEndian.PutUint32(w.mem[atIovecs+4:], uint32(n))
}

func (w *world) read(fd uint64, n int) (string, Errno) {
	w.iovec(n)
	errno := w.call("fd_read", fd, atIovecs, 1, atResult)
	if errno != ErrnoSuccess {
		return "", errno
	}
	return string(w.mem[atData : atData+w.u32(atResult)]), errno
}

func (w *world) write(fd uint64, data string) (int, Errno) {
	copy(w.mem[atData:], data)
	w.iovec(len(data))
	errno := w.call("fd_write", fd, atIovecs, 1, atResult)
	return int(w.u32(atResult)), errno
}

// sub is a subscription of poll; d is a clock's timeout.
type sub struct {
	kind byte
	fd   uint32
	d    time.Duration
}

type event struct {
	userdata uint64
	errno    Errno
	kind     byte
	bytes    uint64
	flags    uint16
}

func (w *world) poll(subs ...sub) ([]event, Errno) {
	le := binary.LittleEndian
	for i, s := range subs {
		b := w.mem[atData+i*sizeSubscription:][:sizeSubscription]
		clear(b)
		le.PutUint64(b, uint64(i))
		b[8] = s.kind
		if s.kind == eventClock {
			le.PutUint32(b[16:], clockMonotonic)
			le.PutUint64(b[24:], uint64(s.d))
		} else {
			le.PutUint32(b[16:], s.fd)
		}
	}
	out := atData + len(subs)*sizeSubscription
	errno := w.call("poll_oneoff", atData, uint64(out), uint64(len(subs)), atResult)
	var events []event
	for i := range int(w.u32(atResult)) {
		b := w.mem[out+i*sizeEvent:]
		events = append(events, event{le.Uint64(b), Errno(le.Uint16(b[8:])), b[10], le.Uint64(b[16:]), le.Uint16(b[24:])})
	}
	return events, errno
}

// openDir opens a directory as its owner gives it to New.
func openDir(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// plant makes files, directories (a name that ends in a slash) and links
// ("name -> target") below dir.
func plant(t testing.TB, dir string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		name, target, link := strings.Cut(e, " -> ")
		p := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, p)
		case name[len(name)-1] == '/':
			err = os.MkdirAll(p, 0o755)
		default:
			err = os.WriteFile(p, []byte(filepath.Base(name)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// pair is a pipe: the guest's end non-blocking, as New wants it, and the other.
func pair(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}
