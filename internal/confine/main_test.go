package confine

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
	"blazar/internal/thread"
)

const testUID = 0x6fff0000

// probe is the executable that the tests run confined.
var probe string

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "confine")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // best effort at the end of the tests
	probe = filepath.Join(dir, "probe")
	if out, err := exec.Command("go", "build", "-o", probe, "./probe").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the probe: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// newRoot mounts a root for a process and a directory "rw" in it that belongs to
// the process.
func newRoot(t testing.TB) string {
	t.Helper()
	testneeds.Root(t)
	dir := filepath.Join(t.TempDir(), "root")
	check(t, os.Mkdir(dir, 0o755))
	check(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,mode=755"))
	t.Cleanup(func() { check(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	check(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	check(t, os.Mkdir(dir+"/rw", 0o755))
	check(t, os.Chown(dir+"/rw", testUID, testUID))
	return dir
}

// newNetNS is a network namespace with nothing in it.
func newNetNS(t testing.TB) *os.File {
	t.Helper()
	var f *os.File
	var err error
	thread.Throwaway(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			f, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	check(t, err)
	t.Cleanup(func() { check(t, f.Close()) })
	return f
}

// config is what most tests start.
func config(t testing.TB) Config {
	t.Helper()
	f, err := Filter(FilterOptions{})
	check(t, err)
	return Config{
		Binary: probe, Root: newRoot(t), NetNS: newNetNS(t), UID: testUID, GID: testUID,
		Hostname: "pod", Filter: f, Stderr: os.Stderr, Env: []string{"GOMAXPROCS=2"},
	}
}

// allowAll is a filter that lets everything pass.
var allowAll = []bpf.RawInstruction{{Op: 0x06, K: retAllow}}

func start(t testing.TB, c Config) *Process {
	t.Helper()
	p, err := Start(t.Context(), c)
	check(t, err)
	t.Cleanup(func() { stop(t, p) })
	return p
}

func stop(t testing.TB, p *Process) {
	t.Helper()
	check(t, p.Kill())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // also when the test has ended
	defer cancel()
	if _, err := p.Wait(ctx); err != nil {
		t.Error(err)
	}
	check(t, p.Close())
}

type report struct {
	Confined bool
	Env      []string
	Results  map[string]string
	Error    string
}

// ask sends the probe a request.
func ask(t testing.TB, p *Process, request string, args ...any) report {
	t.Helper()
	check(t, p.Control.SetDeadline(time.Now().Add(30*time.Second)))
	_, err := fmt.Fprintf(p.Control, request, args...)
	check(t, err)
	b := make([]byte, 1<<17)
	n, err := p.Control.Read(b)
	check(t, err)
	var r report
	check(t, json.Unmarshal(b[:n], &r))
	return r
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func loopback(t testing.TB) (*net.TCPListener, *os.File) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	f, err := l.File()
	check(t, err)
	t.Cleanup(func() { _, _ = l.Close(), f.Close() })
	return l, f
}

func itoa(n int) string { return fmt.Sprint(n) }

func openFiles(t testing.TB) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(e)
}

// children counts the children of this process, zombies included.
func children(t testing.TB) int {
	t.Helper()
	n := 0
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	check(t, err)
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err == nil { // the thread may have ended
			n += len(strings.Fields(string(b)))
		}
	}
	return n
}
