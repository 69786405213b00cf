package integration

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/linuximage"
	"blazar/internal/node"
)

// mixed are Linux containers in wasm pods: they pass the tests of tasks like any other,
// see taskKinds.
var mixed = taskKind{"mixed", "blazar-wasm", node.Wasm, taskLinux}

// What a wasm pod with a Linux container loses when a process is killed: see "What ends
// with what" in docs.
func TestRestartMixedPod(t *testing.T) {
	for _, test := range []struct {
		victim            string
		guest, linux, pod bool // are lost
	}{
		{victim: "containerd"}, {victim: "serve"},
		{victim: "taskd", linux: true},
		{victim: "wasm-task", guest: true, linux: true, pod: true},
	} {
		t.Run(test.victim, func(t *testing.T) {
			c := &cell{k: taskKinds[0], release: func() {}}
			c.p = startPodOf(t, c.k.handler)
			c.sleeper = c.p.start(t, named("guest", guest(taskWasm, "forever", "here")))
			linux := c.p.start(t, named("linux", guest(taskLinux, "forever", "here")))
			c.sleeper.says(t, "here")
			linux.says(t, "here")
			c.pid = containerPid(t, c.sleeper)
			pid := containerPid(t, linux)
			c.kill(t, test.victim, "rest")
			revive(t.Context(), t, test.victim)

			if test.linux {
				if s := linux.exit(t); s.ExitCode == 0 {
					t.Error("a container that was killed has ended well")
				}
				eventually(t, "its process has ended", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			} else {
				out, err := linux.exec(t, "/task", "echo", "alive")
				if err != nil || strings.TrimSpace(out) != "alive" {
					t.Errorf("exec in the Linux container: %q, %v", out, err)
				}
			}
			c.check(t, losses{containers: test.guest, pod: test.pod})
			if !test.pod {
				c.p.start(t, named("next", guest(taskLinux, "exit", "5"))).exits(t, 5)
				c.p.start(t, named("nextguest", guest(taskWasm, "exit", "6"))).exits(t, 6)
			}
			c.remove(t, test.victim)
		})
	}
}

// A Linux container can be forbidden.
func TestMixedForbidden(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/mixed", "false"))
	contains(t, p.refuse(t, named("linux", guest(taskLinux, "exit", "0"))), "blazar/mixed")
	p.run(t, "exit", "3").exits(t, 3)
}

// Containers of both sorts of a pod share its network, its host name and its volumes.
func TestMixedShares(t *testing.T) {
	t.Parallel()
	if err := theNode.ImportImage(t.Context(), "../.cache/images/linux-busybox.tar"); err != nil {
		t.Fatal(err, "make linux-images makes it")
	}
	p := startPod(t, annotate("blazar/listen.web", "tcp:8080"), func(c *runtime.PodSandboxConfig) { c.Hostname = "mixed-host" })
	volume := []*runtime.Mount{{HostPath: openDir(t), ContainerPath: "/data"}}
	writer := named("writer", busy("write", "/data/file", "from the guest"))
	writer.Mounts = volume
	p.start(t, writer).exits(t, 0)
	p.start(t, named("web", busy("serve"))).says(t, "serving")
	reader := node.Container("reader", linuximage.Busybox, "sh", "-c", "wget -qO- http://127.0.0.1:8080/; hostname; cat /data/file")
	reader.Mounts = volume
	made := p.start(t, reader)
	made.exits(t, 0)
	contains(t, made.logs(t), "hello over http", "mixed-host", "from the guest")
}
