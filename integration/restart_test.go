package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"blazar/internal/node"
)

// These tests kill the daemons of the node, so they are not parallel: they run
// before the others.

// Pods live on while blazar serve is gone, and are its own again afterwards.
func TestServeKilled(t *testing.T) {
	p := startPod(t, annotate("blazar/listen.web", "tcp:8080"))
	web := p.start(t, named("web", busy("serve")))
	web.says(t, "serving")
	ends := p.start(t, named("ends", busy("spin", "1500")))
	address := net.JoinHostPort(podIP(t, p), "8080")
	pid := podPid(t, p)

	killServe(t)
	contains(t, get(address, "/"), "hello over http")
	ends.says(t, "spun")
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Status: the same process, the exit that nobody saw.
	if now := podPid(t, p); now != pid {
		t.Errorf("the pod's process was %d and is %d", pid, now)
	}
	ends.exits(t, 0)
	contains(t, get(address, "/"), "hello over http")
	// Metrics.
	eventually(t, "the pod has statistics again", func() bool {
		return podUsage(t, p).CPU.UsageCoreNanoSeconds.uint(t) > 0
	})
	// New containers, with all that they need of blazar serve.
	p.start(t, named("new", busy("cat", "/etc/greeting"))).exits(t, 0)
	if out, err := web.exec(t, "/app.wasm", "hello"); err != nil {
		t.Error(err, out)
	}
	// Stop and Wait.
	web.stop(t, "10")
	web.exits(t, 0)
	crictl(t, "stopp", p.ID)
	eventually(t, "the pod is stopped", func() bool { return podState(t, p) == "SANDBOX_NOTREADY" })
	p.remove(t)
	leavesNothing(t)
}

// What ends while blazar serve is gone is known when it is back.
func TestPodDiesWhileServeIsKilled(t *testing.T) {
	p := startPod(t)
	k := p.run(t, "sleep")
	k.says(t, "sleeping")
	pid := podPid(t, p)
	killServe(t)
	kill(t, pid)
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is not ready", func() bool { return podState(t, p) == "SANDBOX_NOTREADY" })
	if s := k.exit(t); s.ExitCode == 0 {
		t.Errorf("a guest that was killed ended with %d", s.ExitCode)
	}
	p.remove(t)
	leavesNothing(t)
}

// A pod whose process dies is not ready; its containers have ended; nothing stays.
func TestTaskKilled(t *testing.T) {
	p := startPod(t)
	k := p.run(t, "sleep")
	k.says(t, "sleeping")
	kill(t, podPid(t, p))
	eventually(t, "the pod is not ready", func() bool { return podState(t, p) == "SANDBOX_NOTREADY" })
	if s := k.exit(t); s.ExitCode == 0 {
		t.Errorf("a guest that was killed ended with %d", s.ExitCode)
	}
	// The reason is recorded.
	contains(t, text(t, podInfo(t, p)["exit"]), "killed")
	p.remove(t)
	leavesNothing(t)
}

func TestContainerdKilled(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			p := startPod(t)
			sleeper := p.start(t, named("sleeper", busy("sleep")))
			sleeper.says(t, "sleeping")
			pid := podPid(t, p)
			if err := theNode.RestartContainerd(t.Context(), signal); err != nil {
				t.Fatal(err)
			}
			if now := podPid(t, p); now != pid {
				t.Errorf("the pod's process was %d and is %d", pid, now)
			}
			if s := sleeper.inspect(t); s.State != "CONTAINER_RUNNING" {
				t.Errorf("the container is %s: %s", s.State, s.Reason)
			}
			out, err := sleeper.exec(t, "/app.wasm", "hello")
			if err != nil {
				t.Error(err)
			}
			contains(t, out, "hello from wasm")
			sleeper.stop(t, "10")
			sleeper.exits(t, 143)
			p.remove(t)
			leavesNothing(t)
		})
	}
}

// Removal leaves nothing, however the pod was used.
func TestRemovalLeavesNothing(t *testing.T) {
	leavesNothing(t)
	before := descriptors(t)
	for range 3 {
		p := startPod(t, annotate("blazar/listen.web", "tcp:8080"))
		p.start(t, named("web", busy("serve"))).says(t, "serving")
		p.start(t, named("ends", busy("exit", "3"))).exits(t, 3)
		k := p.start(t, named("sleep", busy("sleep")))
		if _, err := k.exec(t, "/app.wasm", "hello"); err != nil {
			t.Error(err)
		}
		p.refuse(t, node.Container("bad", truncated, "/"))
		p.remove(t)
		leavesNothing(t)
	}
	// Some may have been opened once for all; one per pod would be 3 more.
	eventually(t, "blazar serve has closed what it opened for the pods", func() bool { return descriptors(t) < before+3 })
}

// killServe kills blazar serve; it runs again when the test has ended.
func killServe(t *testing.T) {
	t.Helper()
	theNode.KillServe()
	t.Cleanup(func() {
		if theNode.ServePid() != 0 {
			return
		}
		if err := theNode.StartServe(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	n, err := node.Descriptors(theNode.ServePid())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func podState(t *testing.T, p *pod) string {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	return i.Status.State
}

// kill kills the process of a pod, which must be one.
func kill(t *testing.T, pid int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(b), "wasm-task") {
		t.Fatalf("process %d is %q, %v", pid, b, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(s), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not die", pid)
		}
	}
}

// known is what earlier tests left and were blamed for.
var known []string

// leavesNothing checks that no trace of a pod is on the host, when there is no pod.
func leavesNothing(t *testing.T) {
	t.Helper()
	left, err := theNode.Leaks(t.Context(), known...)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left:\n%s", strings.Join(left, "\n"))
	}
	known = append(known, left...)
}
