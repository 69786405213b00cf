package cgroup

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	systemd1 "github.com/coreos/go-systemd/v22/dbus"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

// insideSystemd makes the test binary run the test of scopes under a systemd of its
// own.
const insideSystemd = "CGROUP_TEST_SYSTEMD"

// boot is the init script of the namespaces: systemd with one unit, which runs the
// test and ends systemd with its result. The host's files are read-only to it.
const boot = `set -e
mount --make-rprivate /
mount --bind "$DIR" "$DIR"
mount -t tmpfs tmpfs /run
mount -t proc proc /proc
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/units
cp "$DIR"/test.service "$DIR"/test.target "$DIR"/shutdown.target /run/units
mount -o remount,bind,ro /
export container=test SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=console
exec /lib/systemd/systemd --system --unit=test.target
`

// TestScope makes scopes with a real systemd, that runs as in a container: in
// namespaces and a v2 group of its own.
func TestScope(t *testing.T) {
	if os.Getenv(insideSystemd) != "" {
		testScope(t)
		return
	}
	testneeds.File(t, "/lib/systemd/systemd", "install the package systemd")
	h := v2Host(t)
	g := newGroup(t, h, nil)
	group, err := g.Dir()
	check(t, err)
	defer func() { check(t, group.Close()) }()

	dir := t.TempDir()
	output := filepath.Join(dir, "output")
	for name, text := range map[string]string{
		"boot": boot,
		"test.service": fmt.Sprintf("[Unit]\nDefaultDependencies=no\nSuccessAction=exit-force\nFailureAction=exit-force\n[Service]\nType=oneshot\n"+
			"Environment=%s=1\nExecStart=%s -test.run ^TestScope$ -test.v\nStandardOutput=file:%s\nStandardError=inherit\n",
			insideSystemd, os.Args[0], output),
		"test.target":     "[Unit]\nWants=test.service\nDefaultDependencies=no\n",
		"shutdown.target": "[Unit]\nDefaultDependencies=no\n",
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

// testScope is the test, as a service of systemd.
func testScope(t *testing.T) {
	const parent = "kubepods-burstable-podabc.slice"
	// A process that waits, as in the constructor of package confine.
	c := exec.Command("/bin/sleep", "60")
	check(t, c.Start())
	go func() { _ = c.Wait() }() // killed
	g, err := Create(t.Context(), parent, "sandbox", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(7))}})
	check(t, err)
	want := "/kubepods.slice/kubepods-burstable.slice/" + parent + "/sandbox.scope"
	if g.Path() != want || g.State().Scope != "sandbox.scope" {
		t.Errorf("state %+v", g.State())
	}
	if dir, err := g.Dir(); dir != nil || err != nil {
		t.Errorf("directory %v, %v", dir, err)
	}
	check(t, g.Join())
	check(t, g.Update(t.Context(), &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(8))}}))
	if _, err := g.Metrics(t.Context()); !errdefs.IsNotFound(err) {
		t.Errorf("metrics before it began: %v", err)
	}

	check(t, g.Adopt(c.Process.Pid))
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.Process.Pid))
	check(t, err)
	if !strings.HasSuffix(strings.TrimSpace(string(b)), want) {
		t.Errorf("process is in %s, want %s", b, want)
	}
	if err := g.Adopt(c.Process.Pid); !errdefs.IsAlreadyExists(err) {
		t.Errorf("adopt again: %v", err)
	}
	conn, err := systemd1.NewWithContext(t.Context())
	check(t, err)
	defer conn.Close()
	properties, err := conn.GetAllPropertiesContext(t.Context(), "sandbox.scope")
	check(t, err)
	for name, want := range map[string]any{"ActiveState": "active", "Slice": parent, "Delegate": true, "ControlGroup": want} {
		if properties[name] != want {
			t.Errorf("%s is %v, want %v", name, properties[name], want)
		}
	}
	check(t, conn.ReloadContext(t.Context()))
	loaded, err := Load(g.State())
	check(t, err)
	if pids, err := loaded.Procs(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) {
		t.Errorf("processes after a reload: %v, %v", pids, err)
	}
	_, err = loaded.Metrics(t.Context())
	check(t, err)

	check(t, loaded.Kill(t.Context()))
	for range 2 {
		check(t, loaded.Delete(t.Context()))
	}
	if _, err := Load(g.State()); !errdefs.IsNotFound(err) {
		t.Errorf("load of what is deleted: %v", err)
	}
	if units, err := conn.ListUnitsByNamesContext(t.Context(), []string{"sandbox.scope"}); err != nil || units[0].LoadState != "not-found" {
		t.Errorf("unit after the end: %+v, %v", units, err)
	}

	// One that never began is deleted all the same.
	never, err := Create(t.Context(), parent, "never", nil)
	check(t, err)
	check(t, never.Delete(t.Context()))
	if err := never.Adopt(1 << 22); err == nil {
		t.Error("a scope around no process")
	}
}
