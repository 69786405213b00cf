package confine

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// outsidePaths are files of the host and a FIFO of another pod.
func outsidePaths(t *testing.T, c Config) []string {
	other := newRoot(t)
	fifo := filepath.Join(other, "fifo")
	check(t, unix.Mkfifo(fifo, 0o666))
	return []string{"/etc/passwd", "/proc/self/status", "/proc/1/root", "/sys/fs/cgroup", "/dev/null", "/tmp", probe, fifo, c.Root}
}

// listenAbstract is a server in the network namespace that every process there can
// reach by name.
func listenAbstract(t *testing.T) {
	l, err := net.Listen("unix", "@confine-probe")
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
}

// TestDenied runs the probe as pods run and expects each attempt to fail with the
// errno that its layer gives: the filter EPERM, the empty root ENOENT.
func TestDenied(t *testing.T) {
	listenAbstract(t)
	for _, hostNet := range []bool{false, true} {
		c := config(t)
		if hostNet {
			c.NetNS = nil
		}
		p := start(t, c)
		paths := outsidePaths(t, c)
		got := ask(t, p, "deny %d %s", os.Getpid(), strings.Join(paths, " ")).Results
		want := map[string]string{
			"open ..": "ENOENT",
			// What glibc and Go fall back on says so.
			"clone3": "ENOSYS", "memfd_create": "ENOSYS", "splice": "EINVAL", "x32 getpid": "ENOSYS",
			// The only ones that pass.
			"prlimit64 self": "ok", "ioctl TIOCGWINSZ": "ENOTTY",
		}
		for _, path := range paths {
			want["open "+path], want["open up "+path] = "ENOENT", "ENOENT"
		}
		if len(got) < 100 {
			t.Errorf("only %d attempts were made", len(got))
		}
		for what, result := range got {
			w, ok := want[what]
			if !ok {
				w = "EPERM"
			}
			if result != w {
				t.Errorf("host network %t: %s: %s, want %s", hostNet, what, result, w)
			}
		}
		for what := range want {
			if _, ok := got[what]; !ok {
				t.Errorf("%s was not attempted", what)
			}
		}
	}
}

// TestDeniedWithoutFilter shows two things: that the attempts above are such that
// they do something else than EPERM where nothing filters them, and that the other
// layers (namespaces, uid, capabilities, empty root) hold alone.
func TestDeniedWithoutFilter(t *testing.T) {
	c := config(t)
	c.Filter = allowAll
	listenAbstract(t)
	p := start(t, c)
	paths := outsidePaths(t, c)
	got := ask(t, p, "deny %d %s", os.Getpid(), strings.Join(paths, " ")).Results
	want := map[string]string{
		"socket 1": "ok", "socket 2": "ok", "kill self": "ok", "clone process": "EINVAL", "clone new user": "EINVAL",
		"unshare": "EINVAL", "execve": "EFAULT", "execveat": "EFAULT", "shmget": "ENOENT", "inotify_init1": "ok",
		"ioctl TIOCSTI": "ENOTTY", "personality": "ok", "pidfd_open self": "ok", "getsockopt SO_PEERPIDFD": "EFAULT",
		// These fail without a filter.
		"open ..": "ENOENT", "connect abstract": "ECONNREFUSED", "kill daemon": "ESRCH", "tgkill daemon": "ESRCH",
		"pidfd_open daemon": "ESRCH", "kcmp": "ESRCH", "ptrace": "ESRCH", "prlimit64 daemon": "ESRCH",
		"mount": "EFAULT", "chroot": "EFAULT", "setns": "EINVAL", "setuid": "EPERM", "setgid": "EPERM", "setgroups": "EPERM",
		"reboot": "EPERM", "fsopen": "EPERM", "fsmount": "EPERM", "clock_settime": "EFAULT",
	}
	for _, path := range paths {
		want["open "+path], want["open up "+path] = "ENOENT", "ENOENT"
	}
	for what, w := range want {
		if got[what] != w {
			t.Errorf("%s: %s, want %s", what, got[what], w)
		}
	}
	denied := 0
	for _, result := range got {
		if result == "EPERM" {
			denied++
		}
	}
	if denied > len(got)/2 {
		t.Errorf("%d of %d attempts say EPERM without a filter: they do not show what the filter does", denied, len(got))
	}
}

func TestDescriptors(t *testing.T) {
	c := config(t)
	_, f := loopback(t)
	c.Files = []*os.File{f}
	p := start(t, c)
	got := ask(t, p, "fds").Results
	for fd, want := range map[string]string{"0": "char", "1": "char", "3": "socket", "4": "socket"} {
		if got[fd] != want {
			t.Errorf("descriptor %s is %q, want %s", fd, got[fd], want)
		}
	}
	for fd, kind := range got {
		if kind == "dir" || (kind == "file" && fd != "2") {
			t.Errorf("descriptor %s is a %s", fd, kind)
		}
	}
}

// TestExercise does inside what wasm-task needs to do.
func TestExercise(t *testing.T) {
	c := config(t)
	l, f := loopback(t)
	c.Files = []*os.File{f}
	p := start(t, c)
	answer := make(chan string, 1)
	go func() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		b, _ := io.ReadAll(conn)
		_ = conn.Close() // only read from
		answer <- string(b)
	}()
	if r := ask(t, p, "exercise /rw"); r.Error != "" {
		t.Fatal(r.Error)
	}
	if s := <-answer; s != "from inside" {
		t.Errorf("the accepted connection said %q", s)
	}
	if r := ask(t, p, "nilderef"); !strings.Contains(r.Error, "nil pointer") {
		t.Errorf("nil dereference: %+v", r)
	}
}
