package wasip1

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func (w *world) recv(fd uint64, n int, flags uint64) (string, Errno) {
	w.iovec(n)
	errno := w.call("sock_recv", fd, atIovecs, 1, flags, atResult, atResult+4)
	return string(w.mem[atData : atData+w.u32(atResult)]), errno
}

func TestConnection(t *testing.T) {
	w, c, fd := connection(t)
	if _, err := io.WriteString(c, "request"); err != nil {
		t.Fatal(err)
	}
	events, errno := w.poll(sub{kind: eventFdRead, fd: uint32(fd)}, sub{kind: eventClock, d: time.Hour})
	if errno != ErrnoSuccess || len(events) != 1 || events[0].bytes != 7 || events[0].flags != 0 {
		t.Errorf("poll: %v, errno %d", events, errno)
	}
	if got, errno := w.recv(fd, 3, riPeek); got != "req" || errno != ErrnoSuccess {
		t.Errorf("peeked %q, errno %d", got, errno)
	}
	if got, errno := w.recv(fd, 7, riWaitall); got != "request" || errno != ErrnoSuccess {
		t.Errorf("received %q, errno %d", got, errno)
	}
	var got string
	errno, _ = blocked(t, func() (e Errno) { got, e = w.recv(fd, 6, riWaitall); return e }, func() {
		for _, part := range []string{"ab", "cd", "ef"} {
			if _, err := io.WriteString(c, part); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	if got != "abcdef" || errno != ErrnoSuccess {
		t.Errorf("waited for %q, errno %d", got, errno)
	}
	w.want(w.call("sock_recv", fd, atIovecs, 1, 8, atResult, atResult+4), ErrnoInval, "a flag that is none")
	w.want(w.call("sock_send", fd, atIovecs, 1, 1, atResult), ErrnoInval, "a flag that is none")

	long := strings.Repeat("answer", 50_000)
	sent := make(chan string)
	go func() { b, _ := io.ReadAll(c); sent <- string(b) }()
	copy(w.mem[atData:], long)
	w.iovec(len(long))
	w.must(w.call("sock_send", fd, atIovecs, 1, 0, atResult))
	if int(w.u32(atResult)) != len(long) {
		t.Errorf("sent %d of %d", w.u32(atResult), len(long))
	}
	w.must(w.call("sock_shutdown", fd, sdWr))
	if got := <-sent; got != long {
		t.Errorf("the other end got %d bytes of %d", len(got), len(long))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got, errno := w.recv(fd, 10, 0); got != "" || errno != ErrnoSuccess {
		t.Errorf("after the end: %q, errno %d", got, errno)
	}
	w.want(w.call("sock_shutdown", fd, 0), ErrnoInval, "shutting down nothing")
	w.want(w.call("sock_accept", fd, 0, atResult), ErrnoInval, "accept on a connection")
}

func TestAcceptIsWokenByAConnection(t *testing.T) {
	l, addr := listener(t)
	w := newWorld(t, Config{Listeners: []*os.File{l}})
	errno, took := blocked(t, func() Errno { return w.call("sock_accept", 3, uint64(fdflagNonblock), atResult) }, func() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	})
	w.must(errno)
	if took > promptly {
		t.Errorf("after %v", took)
	}
	fd := uint64(w.u32(atResult))
	_, errno = w.recv(fd, 1, 0)
	w.want(errno, ErrnoAgain, "recv on a connection that does not wait")
	w.must(w.call("fd_fdstat_get", fd, atResult))
	if filetype(w.mem[atResult]) != filetypeSocketStream || fdflags(w.mem[atResult+2]) != fdflagNonblock {
		t.Errorf("kind %d, flags %d", w.mem[atResult], w.mem[atResult+2])
	}
	w.want(w.call("sock_accept", 3, uint64(fdflagAppend), atResult), ErrnoInval, "a flag that does not fit")
}

func TestSocketCallsOnOthers(t *testing.T) {
	w, _ := preopened(t, "/", false, "file")
	fd, errno := w.open(3, "file", 0, false, 0)
	w.must(errno)
	for _, c := range []struct {
		fd   uint64
		want Errno
	}{{fd, ErrnoNotsock}, {3, ErrnoNotsock}, {0, ErrnoNotsock}, {77, ErrnoBadf}} {
		w.want(w.call("sock_accept", c.fd, 0, atResult), c.want, "sock_accept")
		w.want(w.call("sock_recv", c.fd, 0, 0, 0, atResult, atResult), c.want, "sock_recv")
		w.want(w.call("sock_send", c.fd, 0, 0, 0, atResult), c.want, "sock_send")
		w.want(w.call("sock_shutdown", c.fd, 1), c.want, "sock_shutdown")
	}
}

func TestDatagramIsCut(t *testing.T) {
	a, b := datagrams(t)
	defer func() { _ = b.Close() }()
	w := newWorld(t, Config{Stdin: a})
	if _, err := b.WriteString("a long message"); err != nil {
		t.Fatal(err)
	}
	got, errno := w.recv(0, 6, 0)
	if got != "a long" || errno != ErrnoSuccess || binary.LittleEndian.Uint16(w.mem[atResult+4:]) != roDataTruncated {
		t.Errorf("received %q, errno %d, flags %d", got, errno, w.mem[atResult+4])
	}
}

// TestListenerInBlockingMode kills an accept on a listener whose owner left it in
// blocking mode, after a connection came and went.
func TestListenerInBlockingMode(t *testing.T) {
	l, addr := listener(t)
	if err := setBlocking(l); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Config{Listeners: []*os.File{l}})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	w.must(w.call("sock_accept", 3, 0, atResult))
	errno, took := blocked(t, func() Errno { return w.call("sock_accept", 3, 0, atResult) }, w.Kill)
	if errno != ErrnoCanceled || took > promptly {
		t.Errorf("errno %d after %v", errno, took)
	}
}

func setBlocking(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) { inner = unix.SetNonblock(int(fd), false) })
	return errors.Join(err, inner)
}

// TestListenerIsDecidedByItsGuest sees that a guest that asks for the flags does not
// wait, and one that just accepts does.
func TestListenerIsDecidedByItsGuest(t *testing.T) {
	a, _ := listener(t)
	b, _ := listener(t)
	c, _ := listener(t)
	w := newWorld(t, Config{Listeners: []*os.File{a, b, c}})
	w.must(w.call("fd_fdstat_get", 3, atResult))
	if fdflags(w.mem[atResult+2]) != fdflagNonblock {
		t.Errorf("flags %d", w.mem[atResult+2])
	}
	w.want(w.call("sock_accept", 3, 0, atResult), ErrnoAgain, "accept after asking")
	w.must(w.call("fd_fdstat_set_flags", 4, 0))
	w.must(w.call("fd_fdstat_get", 4, atResult))
	if w.mem[atResult+2] != 0 {
		t.Errorf("flags %d", w.mem[atResult+2])
	}
	errno, _ := blocked(t, func() Errno { return w.call("sock_accept", 5, 0, atResult) }, w.Shutdown)
	w.want(errno, ErrnoInval, "accept without asking")
	w.want(w.call("sock_accept", 4, 0, atResult), ErrnoInval, "accept after setting")
}
