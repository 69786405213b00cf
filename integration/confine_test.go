package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// podPid is the process on the host whose namespaces are the pod's.
func podPid(t *testing.T, p *pod) int {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	pid, ok := i.Info["pid"].(float64)
	if !ok {
		s, _ := i.Info["pid"].(string)
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("no pid in the verbose status: %v", i.Info)
		}
		return n
	}
	return int(pid)
}

// procStatus is /proc/PID/status as a map.
func procStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

func link(t *testing.T, pid any, name string) string {
	t.Helper()
	s, err := os.Readlink(fmt.Sprintf("/proc/%v/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The process of a pod, seen from the host while a guest runs in it.
func TestConfinement(t *testing.T) {
	t.Parallel()
	p, other := startPod(t), startPodOf(t, "blazar-wasm", annotate("other", "pod"))
	p.run(t, "sleep").says(t, "sleeping")
	pid, otherPid := podPid(t, p), podPid(t, other)

	s := procStatus(t, pid)
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.Trim(s[set], "0") != "" {
			t.Errorf("%s is %s, it has capabilities", set, s[set])
		}
	}
	if s["NoNewPrivs"] != "1" || s["Seccomp"] != "2" {
		t.Errorf("NoNewPrivs %s, Seccomp %s", s["NoNewPrivs"], s["Seccomp"])
	}
	uids := strings.Fields(s["Uid"])
	for _, uid := range append(uids, strings.Fields(s["Gid"])...) {
		if n, err := strconv.Atoi(uid); err != nil || n < 65536 {
			t.Errorf("uid or gid %s is one that the host may use", uid)
		}
	}
	if strings.TrimSpace(s["Groups"]) != "" {
		t.Errorf("supplementary groups: %s", s["Groups"])
	}
	if s["Uid"] == procStatus(t, otherPid)["Uid"] {
		t.Errorf("two pods have the uid %s", s["Uid"])
	}
	inPodsNetwork(t, p, pid, false)
	for _, ns := range []string{"ns/mnt", "ns/pid", "ns/ipc", "ns/uts"} {
		mine := link(t, pid, ns)
		if mine == link(t, "self", ns) {
			t.Errorf("%s is the host's", ns)
		}
		if mine == link(t, otherPid, ns) {
			t.Errorf("%s is another pod's", ns)
		}
	}
	seesOnlyItsOwn(t, pid)
}

// A pod whose process was prepared before the pod was known is confined like any; one
// that must not be is in the pod's own network namespace.
func TestConfinementOfPrepared(t *testing.T) {
	t.Parallel()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		p := startPod(t)
		i, err := theNode.InspectPod(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if i.Info["start"] == "prepared" {
			inPodsNetwork(t, p, podPid(t, p), true)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no pod was prepared, the last because: %v", i.Info["start"])
		}
	}
	cold := startPodOf(t, "blazar-wasm", annotate("blazar/prepared", "false"))
	i, err := theNode.InspectPod(t.Context(), cold.ID)
	if err != nil {
		t.Fatal(err)
	}
	if how, _ := i.Info["start"].(string); !strings.Contains(how, "blazar/prepared") {
		t.Errorf("a pod that must not be prepared was started %q", how)
	}
	inPodsNetwork(t, cold, podPid(t, cold), false)
}

// inPodsNetwork looks at the network namespace of a pod's process: the pod's, or, where it
// was prepared, one in which there is nothing.
func inPodsNetwork(t *testing.T, p *pod, pid int, prepared bool) {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	how, _ := i.Info["start"].(string)
	if prepared && how != "prepared" {
		t.Fatalf("the pod was started %s", how)
	}
	mine := link(t, pid, "ns/net")
	if mine == link(t, "self", "ns/net") {
		t.Error("its network namespace is the host's")
	}
	if how != "prepared" {
		sharesPodsNetwork(t, p, pid)
		return
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		t.Fatal(err)
	}
	if pods := podsNetwork(t, p); mine == pods || strings.Count(string(b), ":") != 1 || !strings.Contains(string(b), "lo:") {
		t.Errorf("its network namespace is not the empty one: %s", b)
	}
}

// podsNetwork is the network namespace of the pod, as its process would show it.
func podsNetwork(t *testing.T, p *pod) string {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	path, _ := i.Info["netns"].(string)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatalf("network namespace %q of the pod: %v", path, err)
	}
	return fmt.Sprintf("net:[%d]", st.Ino)
}

func sharesPodsNetwork(t *testing.T, p *pod, pid int) {
	t.Helper()
	if mine, pods := link(t, pid, "ns/net"), podsNetwork(t, p); mine != pods {
		t.Errorf("process %d is in the network namespace %s, the pod's is %s", pid, mine, pods)
	}
}

// seesOnlyItsOwn looks at the file system and the descriptors of a pod's process.
func seesOnlyItsOwn(t *testing.T, pid int) {
	t.Helper()
	root := fmt.Sprintf("/proc/%d/root", pid)
	for _, path := range []string{"proc", "sys", "dev/mem", "etc/passwd", "usr", "bin", "root", "var", "run"} {
		if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
			t.Errorf("it sees /%s", path)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && (strings.HasPrefix(fields[4], "/proc") || strings.HasPrefix(fields[4], "/sys")) {
			t.Errorf("it has the mount %s", line)
		}
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		for _, foreign := range []string{"containerd.toml", "c.sock", "/etc/shadow", "/etc/passwd", "/dev/kmsg", "meta.db", "/io.containerd.content"} {
			if strings.Contains(target, foreign) {
				t.Errorf("descriptor %s is %s", e.Name(), target)
			}
		}
	}
}
