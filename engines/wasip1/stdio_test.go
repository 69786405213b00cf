package wasip1

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a new pseudo terminal: the slave, as a container gets it, and the
// master.
func terminal(t *testing.T) (slave, master *os.File) {
	t.Helper()
	master = openFile(t, "/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK)
	t.Cleanup(func() { _ = master.Close() })
	conn, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var inner error
	err = conn.Control(func(fd uintptr) {
		if inner = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); inner == nil {
			n, inner = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil || inner != nil {
		t.Fatal(err, inner)
	}
	return openFile(t, fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK), master
}

// isatty is what wasi-libc makes of a descriptor.
func (w *world) isatty(fd uint64) bool {
	w.must(w.call("fd_fdstat_get", fd, atResult))
	return filetype(w.mem[atResult]) == filetypeCharacter &&
		rights(w.u64(atResult+8))&(rightFdSeek|rightFdTell) == 0
}

func TestWhatIsATerminal(t *testing.T) {
	slave, master := terminal(t)
	w := newWorld(t, Config{Stdin: slave, Stdout: slave, Stderr: slave})
	for fd := range uint64(3) {
		if !w.isatty(fd) {
			t.Errorf("descriptor %d is no terminal", fd)
		}
	}
	if n, errno := w.write(1, "hi"); n != 2 || errno != ErrnoSuccess {
		t.Errorf("write: %d, errno %d", n, errno)
	}
	buf := make([]byte, 10)
	if n, err := master.Read(buf); err != nil || string(buf[:n]) != "hi" {
		t.Errorf("the master reads %q, %v", buf[:n], err)
	}
	if _, err := master.WriteString("line\n"); err != nil {
		t.Fatal(err)
	}
	if got, errno := w.read(0, 10); got != "line\n" || errno != ErrnoSuccess {
		t.Errorf("read %q, errno %d", got, errno)
	}

	in, _ := fifo(t)
	log := openFile(t, filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	other := newWorld(t, Config{Stdin: in, Stdout: log, Stderr: openFile(t, os.DevNull, os.O_WRONLY)})
	none := newWorld(t, Config{})
	for fd := range uint64(3) {
		if other.isatty(fd) || none.isatty(fd) {
			t.Errorf("descriptor %d is a terminal", fd)
		}
	}
}

func TestStdioLeftOut(t *testing.T) {
	w := newWorld(t, Config{})
	if got, errno := w.read(0, 10); got != "" || errno != ErrnoSuccess {
		t.Errorf("read %q, errno %d", got, errno)
	}
	if n, errno := w.write(2, "gone"); n != 4 || errno != ErrnoSuccess {
		t.Errorf("wrote %d, errno %d", n, errno)
	}
	events, errno := w.poll(sub{kind: eventFdRead}, sub{kind: eventFdWrite, fd: 1})
	if errno != ErrnoSuccess || len(events) != 2 {
		t.Errorf("poll: %v, errno %d", events, errno)
	}
	w.must(w.call("fd_filestat_get", 0, atResult))
	w.must(w.call("fd_close", 0))
	w.CloseStdin()
	w.want(w.call("fd_close", 0), ErrnoBadf, "a second close")
	_, errno = w.read(0, 1)
	w.want(errno, ErrnoBadf, "read after close")
}

func TestClosedStdoutIsAnErrno(t *testing.T) {
	r, out := pair(t)
	w := newWorld(t, Config{Stdout: out, Stderr: out})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fd := range []uint64{1, 2} {
		_, errno := w.write(fd, "x")
		w.want(errno, ErrnoPipe, "write")
	}
	events, errno := w.poll(sub{kind: eventFdWrite, fd: 1})
	if errno != ErrnoSuccess || len(events) != 1 || events[0].flags != eventHangup {
		t.Errorf("poll: %v, errno %d", events, errno)
	}
}

func TestOneFileTwice(t *testing.T) {
	log := openFile(t, filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	w := newWorld(t, Config{Stdout: log, Stderr: log})
	w.must(w.call("fd_close", 1))
	if n, errno := w.write(2, "kept"); n != 4 || errno != ErrnoSuccess {
		t.Errorf("wrote %d, errno %d", n, errno)
	}
	w.must(w.call("fd_fdstat_get", 2, atResult))
	if fdflags(w.mem[atResult+2]) != fdflagAppend {
		t.Errorf("flags %d", w.mem[atResult+2])
	}
	w.must(w.call("fd_close", 2))
	if _, err := log.Stat(); err == nil {
		t.Error("the file is still open")
	}
}

func TestFilesBelongToTheCallerAfterAnError(t *testing.T) {
	in, _ := fifo(t)
	defer func() { _ = in.Close() }()
	if _, err := New(Config{Stdin: in, Listeners: []*os.File{in}}); err == nil {
		t.Fatal("a FIFO was accepted as a listener")
	}
	if _, err := New(Config{Stdin: in, Preopens: []Preopen{{Guest: "/", Dir: in}}}); err == nil {
		t.Fatal("a FIFO was accepted as a directory")
	}
	if _, err := in.Stat(); err != nil {
		t.Errorf("New closed a file: %v", err)
	}
}

func TestCloseClosesEverything(t *testing.T) {
	in, _ := fifo(t)
	r, out := pair(t)
	defer func() { _ = r.Close() }()
	l, _ := listener(t)
	dir := t.TempDir()
	plant(t, dir, "file", "sub/")
	before := openDescriptors(t)
	d, below := openDir(t, dir), openDir(t, dir)
	s, err := New(Config{Stdin: in, Stdout: out, Preopens: []Preopen{{Guest: "/", Dir: d}, {Guest: "/sub", Dir: below}}, Listeners: []*os.File{l}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{System: s, t: t, mem: make([]byte, memSize)}
	for _, p := range []string{"file", "sub", "sub"} {
		_, errno := w.open(3, p, 0, false, 0)
		w.must(errno)
	}
	w.must(w.call("fd_readdir", 3, atData, 1000, 0, atResult))
	w.must(w.call("fd_renumber", 6, 7))
	w.must(w.call("fd_close", 3))
	_, _ = w.poll(sub{kind: eventClock, d: 1000})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	// Those given before the count was taken are gone as well.
	if after := openDescriptors(t); after != before-3 {
		t.Errorf("%d descriptors are open, want %d", after, before-3)
	}
	w.want(w.call("fd_filestat_get", 4, 0), ErrnoCanceled, "a call after Close")
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
