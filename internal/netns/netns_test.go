package netns

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
	"blazar/internal/thread"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made is the path of a new namespace, as CNI leaves them: a bind mount. Its
// loopback interface is up.
func made(t testing.TB) string {
	t.Helper()
	testneeds.Root(t)
	path := filepath.Join(t.TempDir(), "netns")
	f, err := os.Create(path)
	check(t, err)
	check(t, f.Close())
	thread.Throwaway(func() {
		err = unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		if err == nil {
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
	})
	check(t, err)
	t.Cleanup(func() { check(t, unix.Unmount(path, unix.MNT_DETACH)) })
	return path
}

func opened(t testing.TB) *os.File {
	t.Helper()
	f, err := Open(made(t))
	check(t, err)
	t.Cleanup(func() { check(t, f.Close()) })
	return f
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Stat(path, &st))
	return st.Ino
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	check(t, unix.Mkfifo(fifo, 0o600)) // opening it for reading would block
	link := filepath.Join(dir, "link")
	check(t, os.Symlink("/proc/self/ns/mnt", link))
	for path, is := range map[string]error{
		dir + "/none": errdefs.ErrNotFound, "/etc/passwd/x": errdefs.ErrNotFound,
		"/etc/passwd": errdefs.ErrInvalidArgument, dir: errdefs.ErrInvalidArgument, fifo: errdefs.ErrInvalidArgument,
		"/proc/self/ns/mnt": errdefs.ErrInvalidArgument, "/proc/self/ns/pid": errdefs.ErrInvalidArgument,
		"/proc/self/status": errdefs.ErrInvalidArgument, link: errdefs.ErrInvalidArgument,
	} {
		if f, err := Open(path); !errors.Is(err, is) {
			t.Errorf("%s: %v, %v, want %v", path, f, err, is)
		}
	}
	f, err := Open("/proc/self/ns/net")
	check(t, err)
	check(t, f.Close())
}

func TestDo(t *testing.T) {
	ns := opened(t)
	own := inode(t, "/proc/self/ns/net")
	want := inode(t, ns.Name())
	for range 50 {
		var got uint64
		check(t, Do(ns, func() error {
			got = inode(t, "/proc/thread-self/ns/net")
			return nil
		}))
		if got != want || got == own {
			t.Fatalf("inside is %d, want %d", got, want)
		}
	}
	boom := errors.New("boom")
	if err := Do(ns, func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	f, err := os.Open("/etc/passwd")
	check(t, err)
	if err := Do(f, func() error { t.Error("called"); return nil }); !errors.Is(err, unix.EINVAL) {
		t.Errorf("enter a file: %v", err)
	}
	check(t, f.Close())
	time.Sleep(20 * time.Millisecond) // threads are going
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	check(t, err)
	for _, task := range tasks {
		var st unix.Stat_t
		if unix.Stat(task, &st) == nil && st.Ino != own {
			t.Errorf("%s stayed in a pod's namespace", task)
		}
	}
	goleak.VerifyNone(t)
}

// TestListen serves inside, where nobody outside reaches it.
func TestListen(t *testing.T) {
	ns := opened(t)
	for _, tc := range []struct{ network, address, dial string }{
		{"tcp", ":18081", "127.0.0.1:18081"}, {"tcp", ":18082", "[::1]:18082"},
		{"tcp4", ":18083", "127.0.0.1:18083"}, {"tcp6", ":18084", "[::1]:18084"},
		{"tcp", "127.0.0.1:18085", "127.0.0.1:18085"}, {"tcp", "[::1]:18086", "[::1]:18086"},
	} {
		f, err := Listen(ns, tc.network, tc.address)
		check(t, err)
		l, err := net.FileListener(f)
		check(t, err)
		check(t, f.Close())
		go func() {
			c, err := l.Accept()
			if err == nil {
				_ = c.Close() // only accepted
			}
		}()
		check(t, Do(ns, func() error { return dial(tc.dial) }))
		if err := dial(tc.dial); err == nil {
			t.Errorf("%s is reached from outside", tc.dial)
		}
		check(t, l.Close())
	}
}

// dial connects on the calling thread, which package net would not promise.
func dial(address string) error {
	a, err := parse("tcp", address)
	if err != nil {
		return err
	}
	domain, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(a.addr.Port()), Addr: a4(a.addr)})
	if a.addr.Addr().Is6() {
		domain, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.addr.Port()), Addr: a.addr.Addr().As16()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Connect(fd, sa), unix.Close(fd))
}

func TestListenModes(t *testing.T) {
	ns := opened(t)
	f, err := Listen(ns, "udp", "127.0.0.1:0")
	check(t, err)
	c, err := f.SyscallConn()
	check(t, err)
	check(t, c.Control(func(fd uintptr) {
		fl, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil || fl&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %#x, %v: blocking", fl, err)
		}
		fl, err = unix.FcntlInt(fd, unix.F_GETFD, 0)
		if err != nil || fl&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %#x, %v: inherited", fl, err)
		}
		if kind, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_DGRAM {
			t.Errorf("type %d, %v", kind, err)
		}
	}))
	check(t, f.Close())
	own, err := Listen(nil, "tcp", "127.0.0.1:0")
	check(t, err)
	check(t, own.Close())
}

func TestListenErrors(t *testing.T) {
	ns := opened(t)
	first, err := Listen(ns, "tcp", "127.0.0.1:18090")
	check(t, err)
	defer func() { check(t, first.Close()) }()
	if _, err := Listen(ns, "tcp", "127.0.0.1:18090"); !errdefs.IsAlreadyExists(err) || !strings.Contains(err.Error(), "18090") {
		t.Errorf("listen twice: %v", err)
	}
	if _, err := Listen(ns, "tcp", "192.0.2.1:80"); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("listen on somebody else's address: %v", err)
	}
	for _, c := range [][2]string{
		{"unix", "/x"}, {"tcp5", ":1"}, {"tcp", "8080"}, {"tcp", ":http"}, {"tcp", ":65536"}, {"tcp", ":-1"},
		{"tcp", "localhost:1"}, {"tcp4", "[::1]:1"}, {"tcp6", "127.0.0.1:1"}, {"tcp", "[fe80::1%lo]:1"}, {"", ":1"},
	} {
		if _, err := Listen(ns, c[0], c[1]); !errdefs.IsInvalidArgument(err) {
			t.Errorf("listen on %q: %v", c, err)
		}
	}
}

func BenchmarkListen(b *testing.B) {
	ns := opened(b)
	for b.Loop() {
		f, err := Listen(ns, "tcp", "127.0.0.1:0")
		check(b, err)
		check(b, f.Close())
	}
}
