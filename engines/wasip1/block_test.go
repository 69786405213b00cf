package wasip1

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// promptly is how long a wake may take here, on a busy machine; it is well under
// a millisecond on an idle one.
const promptly = 100 * time.Millisecond

// blocked runs call on its own goroutine, sees that it blocks, and returns its
// result and how long after wake it came.
func blocked(t *testing.T, call func() Errno, wake func()) (Errno, time.Duration) {
	t.Helper()
	result := make(chan Errno, 1)
	go func() { result <- call() }()
	select {
	case errno := <-result:
		t.Fatalf("the call did not block: errno %d", errno)
	case <-time.After(30 * time.Millisecond):
	}
	start := time.Now()
	wake()
	select {
	case errno := <-result:
		return errno, time.Since(start)
	case <-time.After(10 * time.Second):
		t.Fatal("the call was not woken")
		return 0, 0
	}
}

// fifo makes a FIFO and opens it as the host opens a container's stdin.
func fifo(t *testing.T) (*os.File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return openFile(t, name, os.O_RDWR|unix.O_NONBLOCK), name
}

// blockingPipe is a pipe whose ends are in blocking mode, as a shell gives it.
func blockingPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(p[0]), "r"), os.NewFile(uintptr(p[1]), "w")
}

// listener makes a TCP listener as the host gives it, and its address.
func listener(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return f, l.Addr().String()
}

func TestKillWakes(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	for _, c := range []struct {
		name string
		make func(t *testing.T) (*world, func(w *world) Errno)
	}{
		{"sleep", func(t *testing.T) (*world, func(*world) Errno) {
			return newWorld(t, Config{}), func(w *world) Errno { _, e := w.poll(sub{kind: eventClock, d: time.Hour}); return e }
		}},
		{"endless sleep", func(t *testing.T) (*world, func(*world) Errno) {
			return newWorld(t, Config{}), func(w *world) Errno { _, e := w.poll(sub{kind: eventClock, d: -1}); return e }
		}},
		{"stdin", func(t *testing.T) (*world, func(*world) Errno) {
			in, _ := fifo(t)
			return newWorld(t, Config{Stdin: in}), func(w *world) Errno { _, e := w.read(0, 10); return e }
		}},
		{"stdin in blocking mode", func(t *testing.T) (*world, func(*world) Errno) {
			r, wr := blockingPipe(t)
			t.Cleanup(func() { _ = wr.Close() })
			return newWorld(t, Config{Stdin: r}), func(w *world) Errno { _, e := w.read(0, 10); return e }
		}},
		{"full pipe", func(t *testing.T) (*world, func(*world) Errno) {
			r, out := pair(t)
			t.Cleanup(func() { _ = r.Close() })
			return newWorld(t, Config{Stdout: out}), func(w *world) Errno { _, _ = w.write(1, long); _, e := w.write(1, long); return e }
		}},
		{"full pipe in blocking mode", func(t *testing.T) (*world, func(*world) Errno) {
			r, out := blockingPipe(t)
			t.Cleanup(func() { _ = r.Close() })
			return newWorld(t, Config{Stdout: out}), func(w *world) Errno { _, _ = w.write(1, long); _, e := w.write(1, long); return e }
		}},
		{"poll", func(t *testing.T) (*world, func(*world) Errno) {
			in, _ := fifo(t)
			return newWorld(t, Config{Stdin: in}), func(w *world) Errno {
				_, e := w.poll(sub{kind: eventFdRead}, sub{kind: eventClock, d: time.Hour})
				return e
			}
		}},
		{"accept", func(t *testing.T) (*world, func(*world) Errno) {
			l, _ := listener(t)
			return newWorld(t, Config{Listeners: []*os.File{l}}), func(w *world) Errno {
				return w.call("sock_accept", 3, 0, atResult)
			}
		}},
		{"recv", func(t *testing.T) (*world, func(*world) Errno) {
			w, _, fd := connection(t)
			return w, func(w *world) Errno {
				w.iovec(100)
				return w.call("sock_recv", fd, atIovecs, 1, riWaitall, atResult, atResult+4)
			}
		}},
		{"send", func(t *testing.T) (*world, func(*world) Errno) {
			w, _, fd := connection(t)
			return w, func(w *world) Errno {
				for {
					if _, e := w.write(fd, long); e != ErrnoSuccess {
						return e
					}
				}
			}
		}},
		{"opening a FIFO nobody reads", func(t *testing.T) (*world, func(*world) Errno) {
			w, dir := preopened(t, "/", false)
			if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			return w, func(w *world) Errno {
				p, n := w.put(atPath, "fifo")
				return w.call("path_open", 3, 0, p, n, 0, uint64(rightFdWrite), 0, 0, atResult)
			}
		}},
		{"reading a FIFO nobody writes", func(t *testing.T) (*world, func(*world) Errno) {
			w, dir := preopened(t, "/", false)
			if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			fd, errno := w.open(3, "fifo", 0, false, 0)
			w.must(errno)
			return w, func(w *world) Errno { _, e := w.read(fd, 10); return e }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, call := c.make(t)
			errno, took := blocked(t, func() Errno { return call(w) }, func() { w.Kill(); w.Kill() })
			if took > promptly {
				t.Errorf("the kill took %v", took)
			}
			if errno != ErrnoCanceled && errno != ErrnoSuccess {
				t.Errorf("errno %d", errno)
			}
			if !w.Done() || !w.Killed() {
				t.Error("not done or not killed")
			}
			if _, exited := w.ExitCode(); exited {
				t.Error("exited")
			}
			w.want(w.call("sched_yield"), ErrnoCanceled, "a call after the kill")
		})
	}
}

// connection is a world with a listener and one accepted connection, its other
// end, and its descriptor.
func connection(t *testing.T) (*world, net.Conn, uint64) {
	t.Helper()
	l, addr := listener(t)
	w := newWorld(t, Config{Listeners: []*os.File{l}})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.must(w.call("sock_accept", 3, 0, atResult))
	return w, c, uint64(w.u32(atResult))
}

func TestKillBeforeAndDuringCalls(t *testing.T) {
	for range 300 {
		in, _ := fifo(t)
		w := newWorld(t, Config{Stdin: in})
		result := make(chan Errno)
		go func() { _, e := w.read(0, 1); result <- e }()
		w.Kill()
		select {
		case <-result:
		case <-time.After(10 * time.Second):
			t.Fatal("a kill was lost")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseStdinDrainsFirst(t *testing.T) {
	in, name := fifo(t)
	w := newWorld(t, Config{Stdin: in})
	wr := openFile(t, name, os.O_WRONLY)
	defer func() { _ = wr.Close() }()
	if _, err := wr.WriteString("last words"); err != nil {
		t.Fatal(err)
	}
	w.CloseStdin()
	for _, want := range []string{"last ", "words", "", ""} {
		got, errno := w.read(0, 5)
		if got != want || errno != ErrnoSuccess {
			t.Errorf("read %q, errno %d, want %q", got, errno, want)
		}
	}
	events, errno := w.poll(sub{kind: eventFdRead})
	if errno != ErrnoSuccess || len(events) != 1 || events[0].flags != eventHangup || events[0].bytes != 0 {
		t.Errorf("poll: %v, errno %d", events, errno)
	}
}

func TestCloseStdinWakes(t *testing.T) {
	in, _ := fifo(t)
	w := newWorld(t, Config{Stdin: in})
	errno, took := blocked(t, func() Errno { _, e := w.read(0, 1); return e }, w.CloseStdin)
	if errno != ErrnoSuccess || w.u32(atResult) != 0 || took > promptly {
		t.Errorf("errno %d, %d bytes, after %v", errno, w.u32(atResult), took)
	}
	in2, _ := fifo(t)
	w2 := newWorld(t, Config{Stdin: in2})
	var events []event
	errno, took = blocked(t, func() (e Errno) {
		events, e = w2.poll(sub{kind: eventFdRead}, sub{kind: eventClock, d: time.Hour})
		return e
	}, w2.CloseStdin)
	if errno != ErrnoSuccess || len(events) != 1 || events[0].flags != eventHangup || took > promptly {
		t.Errorf("errno %d, %v after %v", errno, events, took)
	}
	if w2.Done() {
		t.Error("closing stdin ended the guest")
	}
}

func TestShutdown(t *testing.T) {
	w, c, conn := connection(t)
	if !w.HasListeners() || w.ListenerFD(0) != 3 {
		t.Errorf("listeners %v, the first at %d", w.HasListeners(), w.ListenerFD(0))
	}
	errno, took := blocked(t, func() Errno { return w.call("sock_accept", 3, 0, atResult) },
		func() { w.Shutdown(); w.Shutdown() })
	if errno != ErrnoInval || took > promptly {
		t.Errorf("accept: errno %d after %v", errno, took)
	}
	w.want(w.call("sock_accept", 3, 0, atResult), ErrnoInval, "a later accept")
	events, errno := w.poll(sub{kind: eventFdRead, fd: 3})
	if errno != ErrnoSuccess || len(events) != 1 || events[0].flags != eventHangup {
		t.Errorf("poll: %v, errno %d", events, errno)
	}
	if got, errno := w.read(0, 1); got != "" || errno != ErrnoSuccess {
		t.Errorf("stdin: %q, errno %d", got, errno)
	}
	if n, errno := w.write(conn, "still here"); n != 10 || errno != ErrnoSuccess {
		t.Errorf("the connection takes %d bytes, errno %d", n, errno)
	}
	buf := make([]byte, 10)
	if _, err := c.Read(buf); err != nil || string(buf) != "still here" {
		t.Errorf("the other end reads %q, %v", buf, err)
	}
	if _, err := net.DialTimeout("tcp", c.RemoteAddr().String(), time.Second); err == nil {
		t.Error("a new connection was taken")
	}
	w.must(w.call("fd_close", 3))
	w.Shutdown()
	if w.Done() {
		t.Error("Shutdown ended the guest")
	}
}

func TestShutdownWakesPollOfUnixListener(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Config{Listeners: []*os.File{f}})
	var events []event
	errno, took := blocked(t, func() (e Errno) {
		events, e = w.poll(sub{kind: eventFdRead, fd: 3})
		return e
	}, w.Shutdown)
	if errno != ErrnoSuccess || len(events) != 1 || events[0].flags != eventHangup || took > promptly {
		t.Errorf("errno %d, %v after %v", errno, events, took)
	}
	w.want(w.call("sock_accept", 3, 0, atResult), ErrnoInval, "accept")
}

func TestNonblock(t *testing.T) {
	in, _ := fifo(t)
	r, out := pair(t)
	defer func() { _ = r.Close() }()
	l, _ := listener(t)
	w := newWorld(t, Config{Stdin: in, Stdout: out, Listeners: []*os.File{l}})
	for _, fd := range []uint64{0, 1, 3} {
		w.must(w.call("fd_fdstat_set_flags", fd, uint64(fdflagNonblock)))
	}
	_, errno := w.read(0, 1)
	w.want(errno, ErrnoAgain, "read")
	w.want(w.call("sock_accept", 3, 0, atResult), ErrnoAgain, "accept")
	long := strings.Repeat("x", 300<<10)
	if n, errno := w.write(1, long); n == 0 || n == len(long) || errno != ErrnoSuccess {
		t.Errorf("write: %d, errno %d", n, errno)
	}
	_, errno = w.write(1, long)
	w.want(errno, ErrnoAgain, "write")
	w.must(w.call("fd_fdstat_get", 1, atResult))
	if w.mem[atResult+2] != byte(fdflagNonblock) {
		t.Errorf("flags %d", w.mem[atResult+2])
	}
}

func TestCloseEndsARunningCall(t *testing.T) {
	in, _ := fifo(t)
	w := newWorld(t, Config{Stdin: in})
	errno, _ := blocked(t, func() Errno { _, e := w.read(0, 1); return e }, func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	w.want(errno, ErrnoCanceled, "read")
}
