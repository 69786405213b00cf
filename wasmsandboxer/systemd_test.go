package wasmsandboxer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/testneeds"
	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
	"blazar/wasmsandboxer/podspec"
)

// insideSystemd is set in the test binary that a systemd of its own runs: the directory of
// what the outer one has built.
const insideSystemd = "WASMSANDBOXER_TEST_SYSTEMD"

// boot is the init script of namespaces in which systemd runs one unit, the test, and ends
// with its result. The host's files are read-only to it.
const boot = `set -e
mount --make-rprivate /
mount --bind "$DIR" "$DIR"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t proc proc /proc
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/units
cp "$DIR"/test.service "$DIR"/test.target "$DIR"/shutdown.target /run/units
mount -o remount,bind,ro /
export container=test SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=console
exec /lib/systemd/systemd --system --unit=test.target
`

// TestPodBelowSlice runs a pod on cgroup v2 below a slice, as a kubelet with the systemd
// driver asks for it: its cgroup is a scope that systemd makes.
func TestPodBelowSlice(t *testing.T) {
	if os.Getenv(insideSystemd) != "" {
		testPodBelowSlice(t)
		return
	}
	testneeds.Root(t)
	testneeds.File(t, "/lib/systemd/systemd", "install the package systemd")
	dir, err := os.MkdirTemp("/var/tmp", "slice") // /tmp is another inside
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs := filepath.Join(dir, "built")
	err = os.CopyFS(programs, os.DirFS(filepath.Dir(built.task)))
	if err == nil { // of other tests, with modes that it does not have any more
		err = os.RemoveAll(filepath.Join(programs, filepath.Base(built.cache)))
	}
	if err != nil {
		t.Fatal(err)
	}
	// What other tests compiled is copied with modes that a cache refuses.
	if err := os.RemoveAll(filepath.Join(programs, filepath.Base(built.cache))); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(dir, "output")
	for name, text := range map[string]string{
		"boot": boot,
		"test.service": fmt.Sprintf("[Unit]\nDefaultDependencies=no\nSuccessAction=exit-force\nFailureAction=exit-force\n[Service]\nType=oneshot\n"+
			"Environment=%s=%s PATH=%s\nWorkingDirectory=/\nExecStart=%s -test.run ^TestPodBelowSlice$ -test.v\nStandardOutput=file:%s\nStandardError=inherit\n",
			insideSystemd, programs, os.Getenv("PATH"), filepath.Join(dir, "test"), output),
		"test.target":     "[Unit]\nWants=test.service\nDefaultDependencies=no\n",
		"shutdown.target": "[Unit]\nDefaultDependencies=no\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "test"), self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	group, remove := ownGroup(t)
	defer remove()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--net", "--fork", "--kill-child",
		"sh", filepath.Join(dir, "boot"))
	c.Env = append(os.Environ(), "DIR="+dir)
	c.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	var console bytes.Buffer
	c.Stdout, c.Stderr = &console, &console
	err = c.Run()
	out, rerr := os.ReadFile(output)
	if err != nil || rerr != nil || !bytes.Contains(out, []byte("PASS")) || bytes.Contains(out, []byte("SKIP")) {
		t.Errorf("systemd ended with %v, test %v:\n%s\n%s", err, rerr, out, console.String())
	}
}

// ownGroup makes a v2 group for systemd's namespaces.
func ownGroup(t *testing.T) (*os.File, func()) {
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
		root += "/unified" // where v1 is in use
	}
	dir := filepath.Join(root, fmt.Sprintf("blazar-test-systemd-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, func() {
		_ = f.Close() // only a path
		var groups []string
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				groups = append(groups, path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for i := len(groups) - 1; i >= 0; i-- { // the innermost first
			if err := os.Remove(groups[i]); err != nil {
				t.Error(err)
			}
		}
	}
}

// testPodBelowSlice is the test, as a service of systemd.
func testPodBelowSlice(t *testing.T) {
	const slice = "kubepods-burstable-podabc.slice"
	h := newHarness(t)
	for _, d := range []string{"t", "p"} {
		if err := os.Mkdir(filepath.Join(h.Root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := &records{}
	state := filepath.Join(h.Root, "t", "state")
	s, closeKind := newSandboxer(t, r, filepath.Join(h.Root, "k"), state, 0)
	var saved json.RawMessage
	request := &sandbox.Request{
		ID: "pod", Namespace: "k8s.io", Dir: filepath.Join(h.Root, "p"),
		Config: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Name: "pod", Namespace: "default", Uid: "pod"},
			Linux:    &cri.LinuxPodSandboxConfig{CgroupParent: slice},
		},
		Save: func(_ context.Context, private any) (err error) {
			saved, err = json.Marshal(private)
			return err
		},
	}
	p, err := s.Create(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	started, err := p.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const below = "/kubepods.slice/kubepods-burstable.slice/" + slice
	scope, own := below+"/pod.scope", below+"/pod-alone.scope"
	isIn(t, started.Pid, scope)
	for id, isolation := range map[string]string{"c": "thread", "alone": "process"} {
		spec := &specs.Spec{
			Process: process(sandboxtest.Program{Args: []string{"sleep"}}), Root: &specs.Root{Path: "rootfs"},
			Annotations: map[string]string{podspec.AnnotationIsolation: isolation},
		}
		if err := r.put(id, record{sandbox: "pod", spec: spec, upper: filepath.Join(h.Root, "t", id)}); err != nil {
			t.Fatal(err)
		}
	}
	tasks := tasksOf(t, started.Address)
	isIn(t, run1(ctx, t, tasks, "c"), scope)
	isIn(t, run1(ctx, t, tasks, "alone"), own) // beside the pod's, which holds a process

	// The next daemon finds it in its scope.
	closeKind()
	s, closeKind = newSandboxer(t, r, filepath.Join(h.Root, "k"), state, 0)
	defer closeKind()
	if p, err = s.Recover(ctx, request, saved); err != nil {
		t.Fatal(err)
	}
	if d := p.(sandbox.Describer).Describe(ctx); d["cgroup"] != scope {
		t.Errorf("cgroup %v, want %s", d["cgroup"], scope)
	}
	if cgroup.HostMode() != cgroup.V2 {
		t.Errorf("mode %v", cgroup.HostMode())
	}
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if e, err := p.Wait(ctx); err != nil || e.Status == 0 {
		t.Errorf("it ended with %+v, %v", e, err)
	}
	if err := p.Delete(ctx); err != nil {
		t.Error(err)
	}
	for _, s := range []string{scope, own} {
		if _, err := os.Stat("/sys/fs/cgroup" + s); !os.IsNotExist(err) {
			t.Errorf("the scope %s is left: %v", s, err)
		}
	}
}

// isIn checks which cgroup a process is in.
func isIn(t *testing.T, pid uint32, group string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(b)), group) {
		t.Errorf("process %d is in %q, %v, not in %s", pid, b, err, group)
	}
}
