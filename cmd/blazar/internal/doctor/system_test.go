package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRoot(t *testing.T) {
	run(t, checkRoot, []one{
		{"root", &Host{}, []Level{OK}, nil},
		{"user", &Host{Euid: 1000}, []Level{Fail}, []string{"uid 1000", "run as root"}},
	})
}

func TestConfig(t *testing.T) {
	run(t, checkConfig, []one{
		{"good", &Host{}, []Level{OK}, nil},
		{"bad", &Host{ConfigErr: errors.New("unknown key x (line 1)")}, []Level{Fail}, []string{"line 1"}},
	})
}

func TestKernel(t *testing.T) {
	osrelease := tree(t, map[string]string{"/proc/sys/kernel/osrelease": "6.18.5\n"})
	lacks := func(missing Feature, err error) Kernel {
		return Kernel{Try: func(f Feature) error {
			if f == missing {
				return err
			}
			return nil
		}}
	}
	run(t, checkKernel, []one{
		{"all", &Host{Root: osrelease, Kernel: lacks("", nil)}, []Level{OK, OK, OK, OK, OK, OK, OK, OK}, []string{"6.18.5"}},
		{"no openat2", &Host{Root: osrelease, Kernel: lacks(OpenAt2, unix.ENOSYS)}, []Level{OK, Fail, OK, OK, OK, OK, OK, OK}, []string{"5.6 or newer"}},
		{"no idmapped layers", &Host{Root: osrelease, Kernel: lacks(IdmapLayers, unix.EINVAL)}, []Level{OK, OK, OK, OK, OK, OK, OK, Warn}, []string{"5.19 or newer"}},
		{"no idmapped layers, strict", &Host{Strict: true, Root: osrelease, Kernel: lacks(IdmapLayers, unix.EINVAL)}, []Level{OK, OK, OK, OK, OK, OK, OK, Fail}, []string{"best-effort"}},
		{"no root", &Host{Euid: 1, Root: osrelease, Kernel: lacks(MountAPI, unix.EPERM)}, []Level{OK, OK, OK, OK, Warn, OK, OK, OK}, []string{"without root"}},
	})
}

func TestSeccomp(t *testing.T) {
	with := func(actions string) *Host { return &Host{Root: tree(t, map[string]string{seccompActions: actions})} }
	run(t, checkSeccomp, []one{
		{"this kernel", &Host{}, []Level{OK}, nil},
		{"all", with("kill_process kill_thread trap errno user_notif trace log allow\n"), []Level{OK}, nil},
		{"old", with("kill trap errno allow\n"), []Level{Fail}, []string{"kill_process"}},
		{"none", &Host{Root: t.TempDir()}, []Level{Fail}, []string{"CONFIG_SECCOMP_FILTER"}},
	})
}

func TestCgroups(t *testing.T) {
	const (
		v1 = "30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory\n" +
			"31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct\n" +
			"32 25 0:28 / /sys/fs/cgroup/pids rw shared:12 - cgroup cgroup rw,pids\n"
		v2     = "33 25 0:29 / /sys/fs/cgroup/unified rw shared:13 - cgroup2 cgroup2 rw\n"
		others = "25 1 254:0 / / rw - ext4 /dev/vda rw\nbroken line\n"
	)
	with := func(mounts, controllers string) *Host {
		return &Host{Root: tree(t, map[string]string{"/proc/self/mountinfo": others + mounts, "/sys/fs/cgroup/unified/cgroup.controllers": controllers})}
	}
	run(t, checkCgroups, []one{
		{"this host", &Host{}, []Level{OK}, nil},
		{"v1", with(v1, ""), []Level{OK}, []string{"v1 with cpu, memory, pids"}},
		{"hybrid", with(v1+v2, ""), []Level{OK}, []string{"hybrid, v2 at /sys/fs/cgroup/unified"}},
		{"v2", with(v2, "cpuset cpu io memory pids\n"), []Level{OK}, []string{"v2 with"}},
		{"v2 without memory", with(v2, "cpu pids\n"), []Level{Fail}, []string{"v2 without memory", "cgroup_enable=memory"}},
		{"v1 without pids", with(v1[:len(v1)-6], ""), []Level{Fail}, []string{"pids"}},
		{"nothing", with("", ""), []Level{Fail}, []string{"no hierarchy"}},
		{"no proc", &Host{Root: t.TempDir()}, []Level{Fail}, nil},
	})
}

func TestKVM(t *testing.T) {
	says := func(v int, err error) *Host {
		return &Host{Kernel: Kernel{KVMVersion: func(string) (int, error) { return v, err }}}
	}
	noDevice := tree(t, map[string]string{kvmDevice: ""})
	run(t, checkKVM, []one{
		{"works", says(12, nil), []Level{OK}, nil},
		{"old", says(10, nil), []Level{Warn}, []string{"API version 10"}},
		{"none", says(0, errors.New("gone")), []Level{Warn}, []string{"nested virtualization"}},
		{"a file", &Host{Root: noDevice, Kernel: Kernel{KVMVersion: kvmVersion}}, []Level{Warn}, []string{"is no KVM"}},
		{"missing", &Host{Root: t.TempDir(), Kernel: Kernel{KVMVersion: kvmVersion}}, []Level{Warn}, []string{"does not open"}},
	})
	if f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0); err == nil {
		_ = f.Close() // only to see whether this user may
		run(t, checkKVM, []one{{"this host", &Host{Kernel: Kernel{KVMVersion: kvmVersion}}, []Level{OK}, nil}})
	}
}

func TestParseRelease(t *testing.T) {
	for in, want := range map[string]release{"v2.4.2": {2, 4}, "2.3.0-rc.1+x": {2, 3}, "6.18.5-amd64\n": {6, 18}, "2.10": {2, 10}} {
		if got, ok := parseRelease(in); !ok || got != want {
			t.Errorf("%q: %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "2", "a.b", "2.x", "<unknown>"} {
		if got, ok := parseRelease(in); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
	if (release{2, 10}).atLeast(2, 11) || !(release{3, 0}).atLeast(2, 11) || !(release{2, 11}).atLeast(2, 11) {
		t.Error("order")
	}
}

func TestHasCapability(t *testing.T) {
	const status = "Name:\tcontainerd\nCapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\n"
	if hasCapability(status, unix.CAP_SYS_RESOURCE) {
		t.Error("bit 24 is clear")
	}
	if !hasCapability(status, unix.CAP_SYS_ADMIN) {
		t.Error("bit 21 is set")
	}
	if hasCapability("CapEff:\tnonsense\n", 0) || hasCapability("", 0) {
		t.Error("capability out of nothing")
	}
}

func TestSocketsOfThisTest(t *testing.T) {
	// A path of TempDir may be too long for a socket.
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	live, dead, file := filepath.Join(dir, "live"), filepath.Join(dir, "dead"), filepath.Join(dir, "file")
	listen(t, live)
	listen(t, dead).die()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(path string) *Host { return &Host{Sockets: map[string]string{"wasm": path}} }
	run(t, checkSockets, []one{
		{"answers", at(live), []Level{OK}, []string{"answers"}},
		{"dead", at(dead), []Level{Warn}, []string{"nobody behind"}},
		{"free", at(filepath.Join(dir, "none")), []Level{Warn}, []string{"is free", "blazar serve"}},
		{"file", at(file), []Level{Fail}, []string{"no socket"}},
		{"too long", at(filepath.Join(dir, string(make([]byte, 108)))), []Level{Fail}, []string{"at most 107"}},
		{"two", &Host{Sockets: map[string]string{"wasm": live, "runc": dead}}, []Level{Warn, OK}, []string{"socket runc", "socket wasm"}},
	})
}
