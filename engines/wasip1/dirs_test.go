package wasip1

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

// entry of a listing.
type listed struct {
	name   string
	cookie uint64
	ino    uint64
	kind   filetype
}

// readdir is one fd_readdir; the entries that fit whole, and whether there may be more.
func (w *world) readdir(fd uint64, size int, cookie uint64) (list []listed, more bool) {
	w.t.Helper()
	w.must(w.call("fd_readdir", fd, atData, uint64(size), cookie, atResult))
	used := int(w.u32(atResult))
	le := binary.LittleEndian
	for b := w.mem[atData : atData+used]; len(b) >= sizeDirent; {
		n := sizeDirent + int(le.Uint32(b[16:]))
		if n > len(b) {
			break
		}
		list = append(list, listed{string(b[sizeDirent:n]), le.Uint64(b), le.Uint64(b[8:]), filetype(b[20])})
		b = b[n:]
	}
	return list, used == size
}

func (w *world) listAll(fd uint64, size int, each func(listed)) {
	w.t.Helper()
	for cookie := uint64(0); ; {
		list, more := w.readdir(fd, size, cookie)
		for _, e := range list {
			each(e)
			cookie = e.cookie
		}
		if !more {
			return
		}
		if len(list) == 0 {
			w.t.Fatal("no entry fits")
		}
	}
}

func TestReaddir(t *testing.T) {
	w, dir := preopened(t, "/", false, "file", "sub/", "link -> file")
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	const many = 3000
	for i := range many {
		plant(t, dir, fmt.Sprintf("many/some-longer-name-%04d", i))
	}
	kinds := map[string]filetype{}
	var dot, dotdot uint64
	w.listAll(3, 100, func(e listed) {
		kinds[e.name] = e.kind
		if e.name == "." {
			dot = e.ino
		}
		if e.name == ".." {
			dotdot = e.ino
		}
	})
	for name, want := range map[string]filetype{".": filetypeDirectory, "..": filetypeDirectory,
		"file": filetypeRegular, "sub": filetypeDirectory, "link": filetypeSymlink, "fifo": filetypeUnknown} {
		if got, ok := kinds[name]; !ok || got != want {
			t.Errorf("%s: kind %d, listed %v, want %d", name, got, ok, want)
		}
	}
	if dot == 0 || dot != dotdot {
		t.Errorf("the root is %d, what is above it %d", dot, dotdot)
	}

	// Every entry exactly once, although every second is removed on the way.
	fd, errno := w.open(3, "many", oflagDirectory, false, 0)
	w.must(errno)
	seen := map[string]int{}
	w.listAll(fd, 4096, func(e listed) {
		if seen[e.name]++; len(seen)%2 == 0 && e.kind == filetypeRegular {
			if err := os.Remove(filepath.Join(dir, "many", e.name)); err != nil {
				t.Error(err)
			}
		}
	})
	if len(seen) != many+2 {
		t.Errorf("%d entries, want %d", len(seen), many+2)
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s was listed %d times", name, n)
		}
	}
}

func TestReaddirCookiesComeBack(t *testing.T) {
	w, _ := preopened(t, "/", false, "a", "b", "c", "d")
	all, _ := w.readdir(3, 4096, 0)
	if len(all) != 6 {
		t.Fatalf("listed %v", all)
	}
	for i, e := range all {
		rest, _ := w.readdir(3, 4096, e.cookie)
		if len(rest) != len(all)-i-1 {
			t.Errorf("behind %s come %d entries, want %d", e.name, len(rest), len(all)-i-1)
		}
		for j := range rest {
			if rest[j] != all[i+1+j] {
				t.Errorf("behind %s comes %v, want %v", e.name, rest[j], all[i+1+j])
			}
		}
	}
	w.want(w.call("fd_readdir", 3, atData, 100, 1<<63, atResult), ErrnoInval, "a cookie that is none")
	w.must(w.call("fd_readdir", 3, atData, 0, 0, atResult))
}

// TestPreopenSharedByTwo lists one open directory from two guests in turn.
func TestPreopenSharedByTwo(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "a", "b")
	d := openDir(t, dir)
	fd, err := unix.FcntlInt(d.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	one := newWorld(t, Config{Preopens: []Preopen{{Guest: "/", Dir: d}}})
	two := newWorld(t, Config{Preopens: []Preopen{{Guest: "/", Dir: os.NewFile(uintptr(fd), dir)}}})
	a, _ := one.readdir(3, 4096, 0)
	b, _ := two.readdir(3, 4096, 0)
	if len(a) != 4 || len(b) != 4 {
		t.Errorf("listed %v and %v", a, b)
	}
	if pos, err := unix.Seek(fd, 0, unix.SEEK_CUR); err != nil || pos != 0 {
		t.Errorf("the shared position moved to %d, %v", pos, err)
	}
}

func TestPreopenWithOPath(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "file")
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Config{Preopens: []Preopen{{Guest: "/", Dir: os.NewFile(uintptr(fd), dir)}}})
	if list, _ := w.readdir(3, 4096, 0); len(list) != 3 {
		t.Errorf("listed %v", list)
	}
	if _, errno := w.open(3, "file", 0, true, 0); errno != ErrnoSuccess {
		t.Errorf("open: errno %d", errno)
	}
}

func TestPreopenNames(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	l, _ := listener(t)
	w := newWorld(t, Config{
		Preopens:  []Preopen{{Guest: "/", Dir: openDir(t, a)}, {Guest: "/some/where", Dir: openDir(t, b)}},
		Listeners: []*os.File{l},
	})
	for fd, want := range map[uint64]string{3: "/", 4: "/some/where"} {
		w.must(w.call("fd_prestat_get", fd, atResult))
		if w.mem[atResult] != 0 || int(w.u32(atResult+4)) != len(want) {
			t.Errorf("%d: tag %d, length %d", fd, w.mem[atResult], w.u32(atResult+4))
		}
		w.must(w.call("fd_prestat_dir_name", fd, atData, uint64(len(want))))
		if got := string(w.mem[atData : atData+len(want)]); got != want {
			t.Errorf("%d is %q, want %q", fd, got, want)
		}
		w.want(w.call("fd_prestat_dir_name", fd, atData, 0), ErrnoNametoolong, "no room")
	}
	w.want(w.call("fd_prestat_get", 0, atResult), ErrnoBadf, "stdin")
	w.want(w.call("fd_prestat_get", 5, atResult), ErrnoBadf, "the listener ends the scan")
	if w.ListenerFD(0) != 5 {
		t.Errorf("the listener is at %d", w.ListenerFD(0))
	}
	if _, err := New(Config{Preopens: []Preopen{{Guest: "data", Dir: nil}}}); err == nil {
		t.Error("a relative guest path was accepted")
	}
}

// TestMountsBelowAreReached crosses a mount point below a preopen.
func TestMountsBelowAreReached(t *testing.T) {
	testneeds.Root(t)
	w, dir := preopened(t, "/", false, "mnt/")
	mnt := filepath.Join(dir, "mnt")
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	fd, errno := w.open(3, "mnt/file", oflagCreat, true, 0)
	w.must(errno)
	w.must(w.call("fd_close", fd))
	p, n := w.put(atPath, "mnt/file")
	p2, n2 := w.put(atPath2, "file")
	w.want(w.call("path_rename", 3, p, n, 3, p2, n2), ErrnoXdev, "rename across a mount")
	w.want(w.call("path_link", 3, 0, p, n, 3, p2, n2), ErrnoXdev, "link across a mount")
}
