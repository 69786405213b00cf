package runcsandboxer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox"
)

// options is a pod with a pid namespace per container, as kubelets make them.
func options(change func(o *cri.NamespaceOption)) *cri.PodSandboxConfig {
	o := &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}
	if change != nil {
		change(o)
	}
	return &cri.PodSandboxConfig{Hostname: "web", Linux: &cri.LinuxPodSandboxConfig{
		SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: o},
	}}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return st.Ino
}

// TestPodWithoutProcess has all that containers share, and nothing runs for it.
func TestPodWithoutProcess(t *testing.T) {
	w := newWorld(t)
	c := options(nil)
	c.DnsConfig = &cri.DNSConfig{Servers: []string{"10.1.2.3"}}
	c.Linux.Sysctls = map[string]string{"kernel.shm_rmid_forced": "1", "net.ipv4.ip_local_port_range": "2000 3000", "kernel.domainname": "example", "fs.mqueue.msg_max": "77"}
	r := w.request(c, w.network())
	before := children(t)
	sb, s := w.start(r)
	if s.Pid != 0 || s.Address != "ttrpc+unix://"+filepath.Join(w.state, "taskd.sock") {
		t.Errorf("started %+v", s)
	}
	if after := children(t); len(after) > len(before) {
		t.Errorf("processes %v run, before %v", after, before)
	}
	p, _, err := podfile.Load(w.state, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	for what, paths := range map[string][2]string{"ipc": {p.Namespaces.IPC, "/proc/self/ns/ipc"}, "uts": {p.Namespaces.UTS, "/proc/self/ns/uts"}} {
		if inode(t, paths[0]) == inode(t, paths[1]) {
			t.Errorf("the pod's %s namespace is the host's", what)
		}
	}
	if p.Namespaces.PID != "" || p.Namespaces.User != "" || p.Namespaces.Network != r.NetNS || p.Reaper != nil {
		t.Errorf("%+v", p)
	}
	for file, want := range map[string]string{
		"/proc/sys/kernel/hostname": "web", "/proc/sys/kernel/domainname": "example", "/proc/sys/kernel/shm_rmid_forced": "1",
		"/proc/sys/fs/mqueue/msg_max": "77", "/proc/sys/net/ipv4/ip_local_port_range": "2000\t3000",
		"/proc/sys/net/ipv4/ip_unprivileged_port_start": "0", "/proc/sys/net/ipv4/ping_group_range": "0\t2147483647",
	} {
		host, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w.inside(r, func() error {
			got, err := os.ReadFile(file)
			if err == nil && strings.TrimSpace(string(got)) != want {
				err = fmt.Errorf("%s is %q in the pod, want %q", file, got, want)
			}
			return err
		})
		if strings.TrimSpace(string(host)) == want {
			t.Errorf("%s is %q on the host: the test shows nothing", file, host)
		}
	}
	for _, m := range p.Mounts {
		if _, err := os.Stat(m.Source); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(r.Dir, "etc", "resolv.conf")); string(b) != "nameserver 10.1.2.3\n" {
		t.Errorf("resolv.conf is %q (%v)", b, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Join(r.Dir, "shm"), &fs); err != nil || fs.Type != unix.TMPFS_MAGIC || fs.Blocks*uint64(fs.Bsize) != 64<<20 {
		t.Errorf("shm is %+v (%v)", fs, err)
	}
	notEnded(t, sb)
	if err := sb.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e, err := sb.Wait(t.Context()); err != nil || e.Status != 0 || e.Reason != "" {
		t.Errorf("exit %+v, %v", e, err)
	}
}

func notEnded(t *testing.T, sb sandbox.Sandbox) {
	t.Helper()
	done := make(chan struct{})
	go func() { _, _ = sb.Wait(t.Context()); close(done) }()
	select {
	case <-done:
		t.Error("the pod has ended")
	case <-time.After(100 * time.Millisecond):
	}
}

// children are the processes whose parent is this one.
func children(t *testing.T) (out []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err == nil {
			out = append(out, strings.Fields(string(b))...)
		}
	}
	return out
}

// TestHostNamespaces makes nothing of what is the host's.
func TestHostNamespaces(t *testing.T) {
	w := newWorld(t)
	r := w.request(options(func(o *cri.NamespaceOption) {
		o.Network, o.Ipc, o.Pid = cri.NamespaceMode_NODE, cri.NamespaceMode_NODE, cri.NamespaceMode_NODE
	}), "")
	w.start(r)
	p, _, err := podfile.Load(w.state, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	h := podfile.Host
	if want := (podfile.Namespaces{Network: h, IPC: h, UTS: h, PID: h}); p.Namespaces != want {
		t.Errorf("%+v", p.Namespaces)
	}
	if m := p.Mounts[len(p.Mounts)-1]; m.Destination != "/dev/shm" || m.Source != "/dev/shm" {
		t.Errorf("%+v", m)
	}
	if left, err := os.ReadDir(filepath.Join(r.Dir, "ns")); err != nil || len(left) != 0 {
		t.Errorf("pins %v (%v)", left, err)
	}
}

// TestSharedPids has one process, which holds the namespace, and costs next to nothing.
func TestSharedPids(t *testing.T) {
	w := newWorld(t)
	r := w.request(options(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_POD }), w.network())
	sb, s := w.start(r)
	p, _, err := podfile.Load(w.state, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d", s.Pid)
	for name, path := range map[string]string{"ipc": p.Namespaces.IPC, "uts": p.Namespaces.UTS, "pid": p.Namespaces.PID, "net": r.NetNS} {
		if inode(t, path) != inode(t, dir+"/ns/"+name) {
			t.Errorf("process %d is not in the pod's %s namespace", s.Pid, name)
		}
	}
	if inode(t, p.Namespaces.PID) == inode(t, "/proc/self/ns/pid") {
		t.Error("the pod's pid namespace is the host's")
	}
	checkConfined(t, dir)
	if kib := private(t, dir); kib >= 200 {
		t.Errorf("the reaper costs %d KiB of private memory", kib)
	} else {
		t.Logf("the reaper costs %d KiB of private memory", kib)
	}
	orphans(t, int(s.Pid))
	notEnded(t, sb)
	// SIGTERM of a process outside ends it, and with it the pod.
	if err := syscall.Kill(int(s.Pid), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e, err := sb.Wait(t.Context()); err != nil || e.Status != 0 || !strings.Contains(e.Reason, "pod-reaper") {
		t.Errorf("exit %+v, %v", e, err)
	}
}

// checkConfined looks at what the reaper may do and see.
func checkConfined(t *testing.T, dir string) {
	t.Helper()
	var b []byte
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		var err error
		if b, err = os.ReadFile(dir + "/status"); err != nil {
			t.Fatal(err)
		}
		// Its last step, which nobody waits for.
		if strings.Contains(string(b), "Seccomp:\t1\n") || time.Now().After(deadline) {
			break
		}
	}
	for _, line := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t1", "Threads:\t1"} {
		if !strings.Contains(string(b), line+"\n") {
			t.Errorf("no %q in %s", line, b)
		}
	}
	if files, err := os.ReadDir(dir + "/root"); err != nil || len(files) > 0 {
		t.Errorf("its root holds %v (%v)", files, err)
	}
	if b, err := os.ReadFile(dir + "/mountinfo"); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("its mounts are %s (%v)", b, err)
	}
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil || len(fds) != 4 { // 0, 1 and 2 are /dev/null, and where SIGTERM is read
		t.Errorf("descriptors %v (%v)", fds, err)
	}
}

// private is the private memory of a process in KiB.
func private(t *testing.T, dir string) (kib int) {
	t.Helper()
	b, err := os.ReadFile(dir + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(b)) {
		var n int
		for _, key := range []string{"Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"} {
			if c, _ := fmt.Sscanf(line, key+" %d kB", &n); c == 1 {
				kib, seen = kib+n, seen+1
			}
		}
	}
	if seen != 3 {
		t.Fatalf("smaps_rollup: %s", b)
	}
	return kib
}

// orphans makes a process in the namespace whose parent ends before it: the reaper
// gets it, and nothing of it stays.
func orphans(t *testing.T, reaper int) {
	t.Helper()
	before := descendants(t, reaper)
	for range 20 {
		out, err := exec.Command("nsenter", "-t", strconv.Itoa(reaper), "-p", "/bin/sh", "-c", "(sleep 0.05; exit 3) & exit 0").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		left := descendants(t, reaper)
		if len(left) == len(before) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("processes %v are left", left)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func descendants(t *testing.T, pid int) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// TestRestart leaves pods to another daemon.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	plain, shared := w.request(options(nil), w.network()), w.request(options(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_POD }), w.network())
	w.start(plain)
	_, s := w.start(shared)
	w.restart()
	for _, r := range []*request{plain, shared} {
		sb := w.recover(r)
		notEnded(t, sb)
		if err := sb.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.delete(r)
	}
	if _, err := proc.RefOf(int(s.Pid)); err == nil {
		t.Error("the reaper runs on")
	}
}

// TestUnrecorded has a daemon find a pod of which the one before it could record nothing.
func TestUnrecorded(t *testing.T) {
	w := newWorld(t)
	for _, parent := range []string{"", w.parent + "/kubelet"} {
		r := w.request(options(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_POD }), w.network())
		r.Config.Linux.CgroupParent = parent
		_, s := w.start(r)
		w.restart()
		r.saved = nil
		w.recover(r)
		w.delete(r)
		if left := descendants(t, os.Getpid()); slices.Contains(left, strconv.Itoa(int(s.Pid))) && !zombie(s.Pid) {
			t.Errorf("the reaper %d runs on", s.Pid)
		}
		_, _ = syscall.Wait4(int(s.Pid), nil, 0, nil) // ours, as nobody held it any more
	}
	// Whether their parent was there before nobody knows, so it stays.
	g, err := cgroup.Parent(w.parent)
	if err == nil {
		err = g.Delete(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

// zombie says whether a process has ended.
func zombie(pid uint32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// TestReaperLost is a pod whose reaper has ended while no daemon ran.
func TestReaperLost(t *testing.T) {
	w := newWorld(t)
	r := w.request(options(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_POD }), w.network())
	_, s := w.start(r)
	w.Close()
	if err := syscall.Kill(int(s.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(int(s.Pid), nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	w.restart()
	sb := w.recover(r)
	if e, err := sb.Wait(t.Context()); err != nil || e.Status != 137 || e.Reason == "" {
		t.Errorf("exit %+v, %v", e, err)
	}
	w.delete(r)
}

// TestMetrics measures pods before and after their cgroups exist.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	parent := w.parent + "/kubelet"
	own, given := w.request(options(nil), w.network()), w.request(options(nil), w.network())
	given.Config.Linux.CgroupParent = parent
	for _, r := range []*request{own, given} {
		sb, _ := w.start(r)
		m, err := sb.(sandbox.Meter).Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *cgroup1.Metrics:
			if m.GetMemory().GetUsage() == nil || m.GetCPU().GetUsage() == nil {
				t.Errorf("%+v", m)
			}
		case *cgroup2.Metrics:
			if m.GetMemory() == nil || m.GetCPU() == nil {
				t.Errorf("%+v", m)
			}
		default:
			t.Errorf("metrics are a %T", m)
		}
		p, _, err := podfile.Load(w.state, r.ID)
		want := map[*request]string{own: w.parent + "/" + r.ID, given: ""}[r]
		if err != nil || p.Cgroup.Below != want || p.Cgroup.Systemd {
			t.Errorf("cgroup %+v (%v)", p.Cgroup, err)
		}
	}
}
