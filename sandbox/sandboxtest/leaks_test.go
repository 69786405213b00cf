package sandboxtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

// The suite sees whatever a kind leaves behind.
func TestLeaksAreSeen(t *testing.T) {
	testneeds.Root(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }() // cannot fail where the first did not
	n := &node{T: t, suite: &suite{}, harness: &Harness{Root: t.TempDir()}}
	id := n.newID()
	n.before = n.measure()
	if leaks := n.leaks(); len(leaks) != 0 {
		t.Fatalf("leaks of nothing: %q", leaks)
	}
	cgroup := filepath.Join("/sys/fs/cgroup", id)
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		cgroup = filepath.Join("/sys/fs/cgroup/unified", id)
	}
	target := filepath.Join(n.harness.Root, "mounted")
	var file *os.File
	var orphan string
	for _, c := range []struct {
		name, sign string
		make, undo func() error
	}{
		{"file", "file " + n.harness.Root + "/x/y", func() error { return os.MkdirAll(n.harness.Root+"/x/y", 0o700) },
			func() error { return os.RemoveAll(n.harness.Root + "/x") }},
		{"descriptor", "descriptors of", func() (err error) { file, err = os.Open("/proc/self/status"); return err },
			func() error { return file.Close() }},
		{"orphan", "process ", func() error {
			out, err := exec.Command("/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").Output()
			orphan = strings.TrimSpace(string(out))
			return err
		}, func() error {
			p, err := unix.PidfdOpen(atoi(t, orphan), 0)
			if err != nil {
				return err
			}
			return errors.Join(unix.PidfdSendSignal(p, syscall.SIGKILL, nil, 0), unix.Close(p))
		}},
		{"mount", "mount ", func() error {
			return errors.Join(os.Mkdir(target, 0o700), unix.Mount("none", target, "tmpfs", 0, "size=4k"))
		}, func() error { return errors.Join(unix.Unmount(target, 0), os.Remove(target)) }},
		{"cgroup", "cgroup " + cgroup, func() error { return os.Mkdir(cgroup, 0o755) },
			func() error { return os.Remove(cgroup) }},
		{"what the kind says", "leak of the kind", func() error {
			n.harness.Leaks = func() []string { return []string{"leak of the kind"} }
			return nil
		}, func() error { n.harness.Leaks = nil; return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.make(); err != nil {
				t.Fatalf("making it: %v", err)
			}
			leaks := n.leaks()
			if !strings.Contains(strings.Join(leaks, "\n"), c.sign) {
				t.Errorf("not seen: %q", leaks)
			}
			if err := c.undo(); err != nil {
				t.Error(err)
			}
			n.eventually("nothing is left", func() bool { return len(n.leaks()) == 0 })
		})
	}
	stop := make(chan struct{})
	go func() { <-stop }()
	if err := goleak.Find(n.before.goroutines, goleak.IgnoreTopFunction("testing.(*T).Run")); err == nil {
		t.Error("a goroutine is not seen")
	}
	close(stop)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	var n int
	for _, c := range s {
		if c < '0' || c > '9' {
			t.Fatalf("pid %q", s)
		}
		n = 10*n + int(c-'0')
	}
	return n
}
