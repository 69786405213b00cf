package runcsandboxer_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/testneeds"
	"blazar/runcsandboxer"
	"blazar/runcsandboxer/podfile"
	"blazar/runcsandboxer/runctask/ctl"
	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
	"blazar/sandbox/task/taskapi"
)

// TestSuite runs pods of Linux containers, with the real task server and runc, through
// everything that a kind of sandbox must stand. They share pids, so that there is a
// process to kill.
func TestSuite(t *testing.T) {
	testneeds.Root(t)
	sandboxtest.Run(t, sandboxtest.Kind{
		New:   newHarness,
		Lacks: []sandboxtest.Ability{sandboxtest.OwnServer}, // one for all pods
	})
}

func newHarness(t *testing.T) *sandboxtest.Harness {
	root, err := os.MkdirTemp("/tmp", "rk")
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.MkdirTemp("/tmp", "rs")
	if err != nil {
		t.Fatal(err)
	}
	// The suite's records are in its own directory.
	if err := os.Symlink(filepath.Join(root, "s"), filepath.Join(state, runcsandboxer.Kind)); err != nil {
		t.Fatal(err)
	}
	parent := fmt.Sprintf("/blazar-test-%d-%d", os.Getpid(), count.Add(1))
	t.Cleanup(func() {
		for _, dir := range cgroups(parent) { // as of a kubelet, that of all its pods
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
		for _, dir := range []string{root, state} {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})
	startTaskd(t, state)
	return &sandboxtest.Harness{
		Root: root,
		NewSandboxer: func(t testing.TB) (sandbox.Sandboxer, func()) {
			s, err := runcsandboxer.New(runcsandboxer.Config{
				Reaper: reaper, TaskSocket: filepath.Join(state, "taskd.sock"), Tasks: ctl.Client{Path: ctl.Socket(state)},
			})
			if err != nil {
				t.Fatal(err)
			}
			return s, s.Close
		},
		Config: func(_ testing.TB, id string) (*cri.PodSandboxConfig, string) {
			return &cri.PodSandboxConfig{
				Metadata: &cri.PodSandboxMetadata{Name: id, Namespace: "default", Uid: id},
				Linux: &cri.LinuxPodSandboxConfig{CgroupParent: parent, SecurityContext: &cri.LinuxSandboxSecurityContext{
					NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE},
				}},
			}, ""
		},
		Bundle: func(t testing.TB, pod, container, bundle string, p sandboxtest.Program) *taskapi.CreateTaskRequest {
			return newBundle(t, state, parent, pod, container, bundle, p)
		},
		Exec:  func(_ testing.TB, p sandboxtest.Program) *specs.Process { return process(p) },
		Leaks: func() []string { return leaks(root, parent) },
	}
}

// startTaskd starts the task server of a node, which ends with the test.
func startTaskd(t *testing.T, state string) {
	t.Helper()
	runc, err := filepath.Abs("../.cache/bin/runc")
	if err != nil {
		t.Fatal(err)
	}
	testneeds.File(t, runc, "`make tools` builds it")
	none := filepath.Join(state, "none")
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(daemon, "taskd", "--config="+none, "--state="+state, "--containerd="+filepath.Join(state, "c.sock"), "--runc="+runc)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It would wait for the calls that are going on, of connections that the suite
		// leaves open.
		_ = c.Process.Kill() // it may have ended
		if err := c.Wait(); err == nil || c.ProcessState.Exited() {
			t.Errorf("taskd had ended by itself: %v", err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", filepath.Join(state, "taskd.sock"))
		if err == nil {
			_ = conn.Close() // only a question
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// newBundle writes what CRI writes for a container, as far as a program needs it.
func newBundle(t testing.TB, state, parent, pod, container, bundle string, p sandboxtest.Program) *taskapi.CreateTaskRequest {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f, _, err := podfile.Load(state, pod)
	must(err)
	spec := &specs.Spec{
		Version: "1.1.0", Process: process(p), Root: &specs.Root{Path: "rootfs"},
		Annotations: map[string]string{"io.kubernetes.cri.sandbox-id": pod},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666", "mode=0620"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm"},
		},
		Linux: &specs.Linux{CgroupsPath: parent + "/" + container, Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}}},
	}
	for kind, name := range map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.PIDNamespace: "pid",
	} {
		path := fmt.Sprintf("/proc/%d/ns/%s", f.Pid, name)
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
	b, err := json.Marshal(spec)
	must(err)
	must(os.WriteFile(filepath.Join(bundle, "config.json"), b, 0o600))
	for _, d := range []string{"upper", "work"} {
		must(os.Mkdir(filepath.Join(bundle, d), 0o755))
	}
	return &taskapi.CreateTaskRequest{Rootfs: []*taskapi.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"lowerdir=" + image, "upperdir=" + filepath.Join(bundle, "upper"), "workdir=" + filepath.Join(bundle, "work"),
	}}}}
}

func process(p sandboxtest.Program) *specs.Process {
	program := "/program"
	if p.Args[0] == "unstartable" {
		program = "/missing"
	}
	return &specs.Process{Args: append([]string{program}, p.Args...), Terminal: p.Terminal, Cwd: "/", Env: []string{"PATH=/"}}
}

// leaks looks for mounts below root and cgroups below parent.
func leaks(root, parent string) (found []string) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], root+"/") {
			found = append(found, "mount "+f[4])
		}
	}
	for _, dir := range cgroups(parent + "/*") {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			found = append(found, "cgroup "+dir)
		}
	}
	return found
}

// cgroups are the directories of a cgroup in all hierarchies.
func cgroups(name string) (dirs []string) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		if found, err := filepath.Glob(root + name); err == nil {
			dirs = append(dirs, found...)
		}
	}
	return dirs
}
