package integration

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/linuximage"
	"blazar/internal/node"
	"blazar/internal/testneeds"
)

// busybox is a Linux container that runs a shell script.
func busybox(t *testing.T, name, script string) *runtime.ContainerConfig {
	t.Helper()
	if err := importBusybox(); err != nil {
		testneeds.NoError(t, fmt.Errorf("the image of busybox: %w (make linux-images)", err))
	}
	return named(name, node.Container(name, linuximage.Busybox, "/bin/sh", "-c", script))
}

var importBusybox = sync.OnceValue(func() error {
	file, err := filepath.Abs("../.cache/images/linux-busybox.tar")
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err != nil {
		return err
	}
	return theNode.ImportImage(context.Background(), file)
})

// mixedPod has a wasm server and a Linux container that sleeps after it has said
// "ready", both with the volume at /shared.
func mixedPod(t *testing.T, changes ...func(*runtime.PodSandboxConfig)) (p *pod, web, side *container, volume string) {
	t.Helper()
	volume = openDir(t)
	share := []*runtime.Mount{{HostPath: volume, ContainerPath: "/shared"}}
	p = startPod(t, append(changes, annotate("blazar/listen.web", "tcp:8080"))...)
	c := named("web", busy("serve"))
	c.Mounts = share
	web = p.start(t, c)
	web.says(t, "serving")
	s := busybox(t, "side", "trap 'echo bye; exit 7' TERM; echo ready; while true; do sleep 0.1; done")
	s.Mounts = share
	side = p.start(t, s)
	side.says(t, "ready")
	return p, web, side, volume
}

// A busybox beside a wasm server: they share the pod, and each is what it is.
func TestMixedPod(t *testing.T) {
	t.Parallel()
	p, web, side, volume := mixedPod(t)
	task, pid := podPid(t, p), side.pid(t)
	for _, ns := range []string{"ns/ipc", "ns/uts"} {
		if link(t, task, ns) != link(t, pid, ns) {
			t.Errorf("the Linux container does not share %s with wasm-task", ns)
		}
	}
	for _, ns := range []string{"ns/mnt", "ns/pid"} {
		if link(t, task, ns) == link(t, pid, ns) {
			t.Errorf("the Linux container shares %s with wasm-task", ns)
		}
	}
	group, _ := memoryCgroup(t, pid)
	if !strings.Contains(group, p.Config.Linux.CgroupParent+"/") {
		t.Errorf("its cgroup is %s, not below that of the pod, %s", group, p.Config.Linux.CgroupParent)
	}
	out, err := side.exec(t, "/bin/wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "hello over http")

	// The volume, both ways.
	p.start(t, withVolume(named("writer", busy("write", "/shared/note", "from a guest")), volume)).exits(t, 0)
	if out, err := side.exec(t, "/bin/cat", "/shared/note"); err != nil || !strings.Contains(out, "from a guest") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := side.exec(t, "/bin/sh", "-c", "echo from linux > /shared/answer; chmod 644 /shared/answer"); err != nil {
		t.Error(err)
	}
	reader := p.start(t, withVolume(named("reader", busy("cat", "/shared/answer")), volume))
	reader.exits(t, 0)
	contains(t, reader.logs(t), "from linux")

	// Exec: exit code and terminal.
	if out, err := side.exec(t, "/bin/sh", "-c", "exit 5"); err == nil || !strings.Contains(err.Error(), "5") {
		t.Errorf("exec that exits with 5: %q, %v", out, err)
	}
	tty, wait := terminal(t, "exec", "-it", side.ID, "/bin/sh")
	write(t, tty, "stty size; echo $((6*7)); exit\n")
	readUntil(t, tty, "42")
	if err := wait(); err != nil {
		t.Error(err)
	}

	for name, c := range map[string]*container{"web": web, "side": side} {
		eventually(t, name+" has statistics", func() bool { return containerUsage(t, c).Memory.WorkingSetBytes.uint(t) > 0 })
	}
	// Those of the pod count both.
	if _, err := side.exec(t, "/bin/dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=20"); err != nil {
		t.Error(err)
	}
	eventually(t, "the pod's statistics count the Linux container", func() bool {
		return podUsage(t, p).Memory.WorkingSetBytes.uint(t) > 20<<20
	})
	if _, err := side.exec(t, "/bin/rm", "/dev/shm/x"); err != nil {
		t.Error(err)
	}
	contains(t, text(t, podInfo(t, p)["containers"]), "run by blazar taskd", "ELF")

	// Limits, as CRI writes them.
	crictl(t, "update", "--memory", strconv.Itoa(64<<20), side.ID)
	_, file := memoryCgroup(t, pid)
	b, err := os.ReadFile(filepath.Join(group, file))
	if err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(64<<20) {
		t.Errorf("the limit is %q, %v", b, err)
	}

	side.stop(t, "10")
	side.exits(t, 7)
	contains(t, side.logs(t), "bye")
	again := busybox(t, "side", "echo again; exit 3")
	again.Metadata.Attempt, again.LogPath = 1, "again.log"
	p.start(t, again).exits(t, 3)
	contains(t, get(net.JoinHostPort(podIP(t, p), "8080"), "/"), "hello over http")
	crictl(t, "rm", side.ID)
	web.stop(t, "10")
	web.exits(t, 0)
}

func withVolume(c *runtime.ContainerConfig, dir string) *runtime.ContainerConfig {
	c.Mounts = []*runtime.Mount{{HostPath: dir, ContainerPath: "/shared"}}
	return c
}

// Pods that share pids share them among their Linux containers.
func TestMixedSharedPids(t *testing.T) {
	t.Parallel()
	p := startPod(t, func(c *runtime.PodSandboxConfig) {
		c.Linux.SecurityContext = &runtime.LinuxSandboxSecurityContext{NamespaceOptions: &runtime.NamespaceOption{Pid: runtime.NamespaceMode_POD}}
	})
	p.run(t, "sleep").says(t, "sleeping")
	one := p.start(t, busybox(t, "one", "echo ready; exec sleep 1000"))
	one.says(t, "ready")
	two := p.start(t, busybox(t, "two", "ps; echo done"))
	two.exits(t, 0)
	contains(t, two.logs(t), "pod-reaper", "sleep 1000")
	if strings.Contains(two.logs(t), "wasm-task") {
		t.Errorf("wasm-task is in it:\n%s", two.logs(t))
	}
}

// With a process for every guest, too.
func TestMixedIsolated(t *testing.T) {
	t.Parallel()
	p, web, side, _ := mixedPod(t, annotate("blazar/isolation", "process"))
	if a, b, c := podPid(t, p), web.pid(t), side.pid(t); a == b || b == c || a == c {
		t.Errorf("processes %d, %d and %d", a, b, c)
	}
	out, err := side.exec(t, "/bin/wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "hello over http")
}

// The annotation forbids it.
func TestMixedRefusals(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/mixed", "false"))
	contains(t, p.refuse(t, busybox(t, "side", "true")), "ELF", "blazar/mixed", "forbids")
	other := startPod(t, annotate("blazar/mixed.side", "perhaps"), func(c *runtime.PodSandboxConfig) { c.Metadata.Name += "other" })
	contains(t, other.refuse(t, busybox(t, "side", "true")), "blazar/mixed.side", "neither true nor false")
	p.run(t, "hello").exits(t, 0)
}

// What a guest that took its wasm-task over could do with a Linux container of its pod:
// nothing but end it. The privileges of an exec are those of the container.
func TestMixedExecKeepsPrivileges(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	c := busybox(t, "side", "echo ready; sleep 1000")
	c.Linux = &runtime.LinuxContainerConfig{SecurityContext: &runtime.LinuxContainerSecurityContext{
		RunAsUser: &runtime.Int64Value{Value: 1234}, NoNewPrivs: true,
	}}
	k := p.start(t, c)
	k.says(t, "ready")
	out, err := k.exec(t, "/bin/sh", "-c", "id -u; grep -E 'NoNewPrivs|CapEff' /proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "1234\n", "NoNewPrivs:\t1", "CapEff:\t0000000000000000")
}

// These kill what the others need, so they are not parallel.

// The daemon may go: both sorts of containers run on, and are its own again.
func TestMixedServeKilled(t *testing.T) {
	p, web, side, _ := mixedPod(t)
	address := net.JoinHostPort(podIP(t, p), "8080")
	killServe(t)
	contains(t, get(address, "/"), "hello over http")
	if out, err := side.exec(t, "/bin/echo", "still here"); err != nil || !strings.Contains(out, "still here") {
		t.Errorf("exec while blazar serve is gone: %q, %v", out, err)
	}
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.start(t, busybox(t, "new", "exit 4")).exits(t, 4)
	side.stop(t, "10")
	side.exits(t, 7)
	crictl(t, "rm", side.ID)
	web.stop(t, "10")
	p.remove(t)
	leavesNothing(t)
}

// A pod whose wasm-task dies takes its Linux containers with it.
func TestMixedTaskKilled(t *testing.T) {
	p, web, side, _ := mixedPod(t)
	pid := side.pid(t)
	kill(t, podPid(t, p))
	eventually(t, "the pod is not ready", func() bool { return podState(t, p) == "SANDBOX_NOTREADY" })
	eventually(t, "the Linux container's process has ended", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	for _, c := range []*container{web, side} {
		if s := c.exit(t); s.ExitCode == 0 {
			t.Errorf("a container of a pod that was killed ended with %d", s.ExitCode)
		}
	}
	p.remove(t)
	leavesNothing(t)
}

// Without a task server Linux containers are refused, with what to do about it; those
// that it ran are lost, and known to be; guests run on.
func TestMixedTaskServerKilled(t *testing.T) {
	p, web, side, _ := mixedPod(t)
	pid := side.pid(t)
	theNode.KillTaskd()
	if s := side.exit(t); s.ExitCode != 137 {
		t.Errorf("the container that was lost ended with %d", s.ExitCode)
	}
	eventually(t, "its process has ended", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	contains(t, p.refuse(t, busybox(t, "none", "true")), "systemctl start blazar-taskd")
	contains(t, get(net.JoinHostPort(podIP(t, p), "8080"), "/"), "hello over http")
	if err := theNode.StartTaskd(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.start(t, busybox(t, "back", "exit 6")).exits(t, 6)
	contains(t, get(net.JoinHostPort(podIP(t, p), "8080"), "/"), "hello over http")
	web.stop(t, "10")
	p.remove(t)
	leavesNothing(t)
}

// 20 MiB of output of a Linux container, whole and in order.
func TestMixedOutput(t *testing.T) {
	t.Parallel()
	const lines = 200000
	p := startPod(t)
	c := busybox(t, "side", fmt.Sprintf("seq -w 1 %d | sed 's/$/ %s/'", lines, strings.Repeat("x", 90)))
	k := p.start(t, c)
	k.exits(t, 0)
	var got []byte
	eventually(t, "all of the output is there", func() bool {
		var err error
		if got, err = os.ReadFile(k.log); err != nil {
			t.Fatal(err)
		}
		return bytes.Count(got, []byte{'\n'}) >= lines
	})
	n := 0
	for line := range bytes.Lines(got) {
		n++
		if f := bytes.Fields(line); len(f) != 5 || string(f[3]) != fmt.Sprintf("%06d", n) {
			t.Fatalf("line %d is %q", n, line)
		}
	}
	if n != lines {
		t.Errorf("%d lines", n)
	}
}
