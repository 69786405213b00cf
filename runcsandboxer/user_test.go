package runcsandboxer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/pkg/sys"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/runcsandboxer/podfile"
)

const userBase = 100000

func mapped(o *cri.NamespaceOption) {
	ids := []*cri.IDMapping{{ContainerId: 0, HostId: userBase, Length: 65536}}
	o.UsernsOptions = &cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: ids, Gids: ids}
}

// mappedNetwork makes a network namespace that belongs to a user namespace, as CRI
// does.
func (w *world) mappedNetwork() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "net")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
	ids := fmt.Sprintf("0:%d:65536", userBase)
	err := sys.UnshareAfterEnterUserns(ids, ids, syscall.CLONE_NEWNET, func(pid int) error {
		return unix.Mount(fmt.Sprintf("/proc/%d/ns/net", pid), path, "", unix.MS_BIND, "")
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	})
	return path
}

// TestUserNamespace has all namespaces of a pod belong to its user namespace, in which
// its reaper is root.
func TestUserNamespace(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		host, share bool
	}{"alone": {}, "shared pids": {share: true}, "host network": {host: true}} {
		t.Run(name, func(t *testing.T) {
			config := options(func(o *cri.NamespaceOption) {
				mapped(o)
				if c.share {
					o.Pid = cri.NamespaceMode_POD
				}
				if c.host {
					o.Network = cri.NamespaceMode_NODE
				}
			})
			config.Linux.Sysctls = map[string]string{"kernel.shm_rmid_forced": "1"}
			network := ""
			if !c.host {
				network = w.mappedNetwork()
			}
			r := w.request(config, network)
			_, s := w.start(r)
			p, _, err := podfile.Load(w.state, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !p.UserNamespace || inode(t, p.Namespaces.User) == inode(t, "/proc/self/ns/user") {
				t.Errorf("%+v", p)
			}
			for _, path := range []string{p.Namespaces.IPC, p.Namespaces.UTS, p.Namespaces.PID, p.Namespaces.Network} {
				if path != "" && path != podfile.Host && owner(t, path) != inode(t, p.Namespaces.User) {
					t.Errorf("%s does not belong to the pod's user namespace", path)
				}
			}
			w.inside(r, func() error {
				b, err := os.ReadFile("/proc/sys/kernel/shm_rmid_forced")
				if err == nil && string(b) != "1\n" {
					err = fmt.Errorf("the sysctl is %q", b)
				}
				return err
			})
			if !c.share {
				return
			}
			dir := fmt.Sprintf("/proc/%d", s.Pid)
			checkConfined(t, dir)
			b, err := os.ReadFile(dir + "/status")
			if id := fmt.Sprintf("\t%d\t%[1]d\t%[1]d\t%[1]d\n", userBase); err != nil || !strings.Contains(string(b), "Uid:"+id) || !strings.Contains(string(b), "Gid:"+id) {
				t.Errorf("it runs as %s (%v)", b, err)
			}
		})
	}
}

// owner is the inode of the user namespace that a namespace belongs to.
func owner(t *testing.T, path string) uint64 {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	user, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(user) }()
	var st unix.Stat_t
	if err := unix.Fstat(user, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestForeignNetwork refuses a user namespace for a pod whose network namespace has
// another owner.
func TestForeignNetwork(t *testing.T) {
	w := newWorld(t)
	r := w.request(options(mapped), w.network())
	sb, err := w.Create(t.Context(), &r.Request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sb.Start(t.Context()); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "host's user namespace") {
		t.Errorf("start: %v", err)
	}
	r.sandbox = sb
	w.delete(r)
}

// TestHostileRequests refuses what cannot be, before anything is made.
func TestHostileRequests(t *testing.T) {
	w := newWorld(t)
	ids := func(host, container, length uint32) func(o *cri.NamespaceOption) {
		return func(o *cri.NamespaceOption) {
			mapped(o)
			o.UsernsOptions.Gids = []*cri.IDMapping{{HostId: host, ContainerId: container, Length: length}}
		}
	}
	sysctl := func(name, value string) *cri.PodSandboxConfig {
		c := options(nil)
		c.Linux.Sysctls = map[string]string{name: value}
		return c
	}
	hostSysctl := func(name string, change func(o *cri.NamespaceOption)) *cri.PodSandboxConfig {
		c := options(change)
		c.Linux.Sysctls = map[string]string{name: "1"}
		return c
	}
	long := options(nil)
	long.Hostname = strings.Repeat("a", 65)
	for name, c := range map[string]struct {
		config *cri.PodSandboxConfig
		host   bool
		says   string
	}{
		"no network":         {options(nil), true, "network namespace"},
		"target":             {options(func(o *cri.NamespaceOption) { o.Ipc = cri.NamespaceMode_TARGET }), false, "TARGET"},
		"user target":        {options(func(o *cri.NamespaceOption) { mapped(o); o.UsernsOptions.Mode = cri.NamespaceMode_TARGET }), false, "TARGET"},
		"no ids":             {options(func(o *cri.NamespaceOption) { mapped(o); o.UsernsOptions.Uids = nil }), false, "uids"},
		"empty range":        {options(ids(1, 0, 0)), false, "gids"},
		"range beyond":       {options(ids(1<<32-2, 0, 100)), false, "gids"},
		"host name":          {long, false, "host name"},
		"host's sysctl":      {sysctl("kernel.panic", "1"), false, "kernel.panic"},
		"vm sysctl":          {sysctl("vm.swappiness", "1"), false, "vm.swappiness"},
		"path":               {sysctl("net/../kernel/panic", "1"), false, "net/../kernel/panic"},
		"dots":               {sysctl("net.../kernel.panic", "1"), false, "net.../kernel.panic"},
		"line feed":          {sysctl("net.ipv4.ip_forward", "1\n1"), false, "ip_forward"},
		"host name's sysctl": {sysctl("kernel.hostname", "x"), false, "hostname"},
		"net of the host":    {hostSysctl("net.ipv4.ip_forward", func(o *cri.NamespaceOption) { o.Network = cri.NamespaceMode_NODE }), true, "everybody"},
		"uts of the host":    {hostSysctl("kernel.domainname", func(o *cri.NamespaceOption) { o.Network = cri.NamespaceMode_NODE }), true, "everybody"},
		"ipc of the host":    {hostSysctl("kernel.shmmax", func(o *cri.NamespaceOption) { o.Ipc = cri.NamespaceMode_NODE }), false, "everybody"},
	} {
		t.Run(name, func(t *testing.T) {
			network := "/run/netns/none"
			if c.host {
				network = ""
			}
			_, err := w.Create(t.Context(), &w.request(c.config, network).Request)
			if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, which is to say %q", err, c.says)
			}
		})
	}
}

// TestRefusedByTheKernel leaves nothing of a pod that fails in the middle.
func TestRefusedByTheKernel(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, value string }{{"net.ipv4.there_is_none", "1"}, {"net.ipv4.ip_forward", "no number"}} {
		for _, share := range []cri.NamespaceMode{cri.NamespaceMode_CONTAINER, cri.NamespaceMode_POD} {
			config := options(func(o *cri.NamespaceOption) { o.Pid = share })
			config.Linux.Sysctls = map[string]string{c.name: c.value}
			r := w.request(config, w.network())
			sb, err := w.Create(t.Context(), &r.Request)
			if err != nil {
				t.Fatal(err)
			}
			before := children(t)
			if _, err := sb.Start(t.Context()); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%s=%s: %v", c.name, c.value, err)
			}
			if after := children(t); len(after) > len(before) {
				t.Errorf("processes %v are left", after)
			}
			r.sandbox = sb
			w.delete(r)
		}
	}
}
