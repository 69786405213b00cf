package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSeenFromOutside looks at a confined process as /proc shows it.
func TestSeenFromOutside(t *testing.T) {
	c := config(t)
	c.Hostname = strings.Repeat("h", maxHostname)
	p := start(t, c)
	r := ask(t, p, "hello")
	if !r.Confined {
		t.Error("the process does not know that it is confined")
	}
	if len(r.Env) != 1 || r.Env[0] != "GOMAXPROCS=2" {
		t.Errorf("environment %q, want only what Config.Env has", r.Env)
	}
	if got := r.Results["hostname"]; got != c.Hostname {
		t.Errorf("host name %q, want %q", got, c.Hostname)
	}
	proc := fmt.Sprintf("/proc/%d/", p.Pid)

	ids := fmt.Sprint(testUID)
	status := status(t, proc+"status")
	for _, want := range [][]string{
		{"Uid", ids, ids, ids, ids}, {"Gid", ids, ids, ids, ids}, {"Groups"},
		{"CapInh", "0000000000000000"}, {"CapPrm", "0000000000000000"}, {"CapEff", "0000000000000000"},
		{"CapBnd", "0000000000000000"}, {"CapAmb", "0000000000000000"},
		{"NoNewPrivs", "1"}, {"Seccomp", "2"}, {"NSpid", fmt.Sprint(p.Pid), "1"}, {"NSsid", status["NSsid"][0], "1"},
	} {
		if got := status[want[0]]; !slices.Equal(got, want[1:]) {
			t.Errorf("%s: %v, want %v", want[0], got, want[1:])
		}
	}

	for _, ns := range []string{"mnt", "ipc", "uts", "pid", "net"} {
		own, err := os.Readlink("/proc/self/ns/" + ns)
		check(t, err)
		its, err := os.Readlink(proc + "ns/" + ns)
		check(t, err)
		if own == its {
			t.Errorf("namespace %s is the host's", ns)
		}
	}
	var want, got unix.Stat_t
	check(t, unix.Fstat(int(c.NetNS.Fd()), &want))
	check(t, unix.Stat(proc+"ns/net", &got))
	if want.Ino != got.Ino {
		t.Error("network namespace is not the one that was given")
	}

	// Its mounts are the root and nothing else, and the host's mounts are as before.
	mounts, err := os.ReadFile(proc + "mountinfo")
	check(t, err)
	lines := strings.Split(strings.TrimSpace(string(mounts)), "\n")
	if len(lines) != 1 || !strings.Contains(lines[0], "master:") || strings.Contains(lines[0], "shared:") ||
		!strings.Contains(lines[0], "nosuid,nodev") {
		t.Errorf("mounts inside: %q, want the root alone, a slave, nosuid, nodev", lines)
	}
	entries, err := os.ReadDir(proc + "root")
	check(t, err)
	if len(entries) != 1 || entries[0].Name() != "rw" {
		t.Errorf("root inside: %v", entries)
	}

	fds, err := os.ReadDir(proc + "fd")
	check(t, err)
	for _, e := range fds {
		link, err := os.Readlink(filepath.Join(proc, "fd", e.Name()))
		check(t, err)
		ok := link == "/dev/null" || strings.HasPrefix(link, "socket:") || strings.HasPrefix(link, "anon_inode:")
		if e.Name() == "2" {
			own, _ := os.Readlink("/proc/self/fd/2")
			ok = link == own
		}
		if !ok {
			t.Errorf("descriptor %s is %s", e.Name(), link)
		}
	}
	// An undumpable process's files belong to root: no one of its uid looks in.
	var st unix.Stat_t
	check(t, unix.Stat(proc+"mem", &st))
	if st.Uid != 0 {
		t.Errorf("its memory belongs to uid %d", st.Uid)
	}
}

// TestMountsComeInAndNotOut mounts below the root while the process runs.
func TestMountsComeInAndNotOut(t *testing.T) {
	c := config(t)
	p := start(t, c)
	if r := ask(t, p, "read /rw/file"); !strings.Contains(r.Error, "no such file") {
		t.Fatalf("file is there before it was mounted: %+v", r)
	}
	check(t, unix.Mount("tmpfs", c.Root+"/rw", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("uid=%d", testUID)))
	check(t, os.WriteFile(c.Root+"/rw/file", []byte("from the host"), 0o644))
	if r := ask(t, p, "read /rw/file"); r.Results["content"] != "from the host" {
		t.Errorf("file of a later mount: %+v", r)
	}
	if r := ask(t, p, "write /rw/new"); r.Error != "" {
		t.Errorf("write: %s", r.Error)
	}
	var st unix.Stat_t
	check(t, unix.Stat(c.Root+"/rw/new", &st))
	if st.Uid != testUID || st.Mode&0o777 != 0o644 {
		t.Errorf("new file has uid %d and mode %o", st.Uid, st.Mode)
	}
	check(t, unix.Unmount(c.Root+"/rw", unix.MNT_DETACH))
	if r := ask(t, p, "read /rw/file"); r.Error == "" {
		t.Error("file is there after the unmount")
	}
	if r := ask(t, p, "write /outside"); !strings.Contains(r.Error, "permission denied") {
		t.Errorf("write into the root: %q", r.Error)
	}
}

// status reads the fields of a /proc/PID/status.
func status(t *testing.T, path string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	m := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		m[k] = strings.Fields(v)
	}
	return m
}
