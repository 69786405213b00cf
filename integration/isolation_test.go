package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// isolatedTests is the test below which the containers of all pods run in processes
// of their own.
const isolatedTests = "TestIsolated"

// TestIsolated shows that containers behave the same in processes of their own.
func TestIsolated(t *testing.T) {
	for _, same := range []struct {
		name string
		test func(*testing.T)
	}{
		{"ServeKilled", TestServeKilled},
		{"PodDiesWhileServeIsKilled", TestPodDiesWhileServeIsKilled},
		{"TaskKilled", TestTaskKilled},
		{"ContainerdKilled", TestContainerdKilled},
		{"RemovalLeavesNothing", TestRemovalLeavesNothing},
		{"ServeKilledInAnyPhase", TestServeKilledInAnyPhase},
		{"ContainerdKilledInAnyPhase", TestContainerdKilledInAnyPhase},
		{"ManyPods", TestManyPods},
		{"ExitCodes", TestExitCodes},
		{"TermEndsGuestWithoutListeners", TestTermEndsGuestWithoutListeners},
		{"Kill", TestKill},
		{"KillInAccept", TestKillInAccept},
		{"TermDrainsListener", TestTermDrainsListener},
		{"TermThenKill", TestTermThenKill},
		{"Trap", TestTrap},
		{"TrapInStatus", TestTrapInStatus},
		{"OutOfMemory", TestOutOfMemory},
		{"RestartedContainer", TestRestartedContainer},
		{"Exec", TestExec},
		{"InteractiveExec", TestInteractiveExec},
		{"Attach", TestAttach},
		{"Terminal", TestTerminal},
		{"Logs", TestLogs},
		{"Process", TestProcess},
		{"Rootfs", TestRootfs},
		{"Mounts", TestMounts},
		{"PodFiles", TestPodFiles},
		{"HTTP", TestHTTP},
		{"RefusedListener", TestRefusedListener},
		{"Stats", TestStats},
		{"CPULimitsAfterRestart", TestCPULimitsAfterRestart},
		{"UpdateMemory", TestUpdateMemory},
	} {
		t.Run(same.name, same.test)
	}
}

// isolateIn isolates the containers of pods below that test.
func isolateIn(t *testing.T, c *runtime.PodSandboxConfig) {
	if strings.HasPrefix(t.Name(), isolatedTests+"/") {
		c.Annotations["blazar/isolation"] = "process"
	}
}

// isolate is a change of a pod's configuration.
func isolate(container string) func(*runtime.PodSandboxConfig) {
	return annotate("blazar/isolation."+container, "process")
}

// pid is the process of a container on the host.
func (c *container) pid(t *testing.T) int {
	t.Helper()
	var i struct{ Info struct{ Pid int } }
	decode(t, crictl(t, "inspect", c.ID), &i)
	return i.Info.Pid
}

// workerOf is what the pod's verbose status says of the container's process.
func workerOf(t *testing.T, p *pod, c *container) map[string]any {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	all, ok := i.Info["workers"].(map[string]any)
	if text, is := i.Info["workers"].(string); is {
		ok = json.Unmarshal([]byte(text), &all) == nil
	}
	w, is := all[c.ID].(map[string]any)
	if !ok || !is {
		t.Fatalf("no process of container %s in the verbose status: %v", c.ID, i.Info["workers"])
	}
	return w
}

// A pod of two isolated containers and two that share a process, seen from the host.
func TestIsolatedContainers(t *testing.T) {
	t.Parallel()
	p := startPod(t, isolate("a"), isolate("b"))
	containers := map[string]*container{}
	for _, name := range []string{"a", "b", "c", "d"} {
		containers[name] = p.start(t, limited(named(name, busy("sleep")), &runtime.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}))
		containers[name].says(t, "sleeping")
	}
	main, a, b := podPid(t, p), containers["a"].pid(t), containers["b"].pid(t)
	if c, d := containers["c"].pid(t), containers["d"].pid(t); c != main || d != main {
		t.Errorf("those that share run in %d and %d, not %d", c, d, main)
	}
	if a == main || b == main || a == b {
		t.Fatalf("processes of the pod %d, of a %d, of b %d", main, a, b)
	}
	for _, pid := range []int{a, b} {
		seesOnlyItsOwn(t, pid)
		s := procStatus(t, pid)
		if strings.Trim(s["CapEff"]+s["CapBnd"]+s["CapPrm"], "0") != "" || s["NoNewPrivs"] != "1" || s["Seccomp"] != "2" {
			t.Errorf("process %d is not confined: %v", pid, s)
		}
		sharesPodsNetwork(t, p, pid)
	}
	for _, two := range [][2]int{{main, a}, {main, b}, {a, b}} {
		if procStatus(t, two[0])["Uid"] == procStatus(t, two[1])["Uid"] {
			t.Errorf("processes %v are the same user", two)
		}
		for _, ns := range []string{"ns/mnt", "ns/pid", "ns/ipc"} {
			if link(t, two[0], ns) == link(t, two[1], ns) {
				t.Errorf("processes %v share %s", two, ns)
			}
		}
	}
	// Each sees the files of its own container only, which an exec needs in any case.
	for name, k := range containers {
		if out, err := k.exec(t, "/raw.wasm", "hello"); err != nil {
			t.Errorf("exec in %s: %v: %s", name, err, out)
		}
	}
	for pid, names := range map[int][]string{main: {"c", "d"}, a: {"a"}, b: {"b"}} {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/c", pid))
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(names) {
			t.Errorf("process %d sees %v, not those of %v", pid, entries, names)
		}
		for _, name := range names {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/c/%s/rootfs/app.wasm", pid, containers[name].ID)); err != nil {
				t.Error(err)
			}
		}
	}
	for name, pid := range map[string]int{"a": a, "b": b} {
		w := workerOf(t, p, containers[name])
		if got := fmt.Sprint(w["pid"]); got != fmt.Sprint(pid) {
			t.Errorf("the verbose status says process %s, not %d", got, pid)
		}
		contains(t, fmt.Sprint(w), "pod annotation blazar/isolation."+name, "uid", "cgroup", "root")
		limitedAlone(t, pid, main)
	}
	contains(t, verbose(t, p), fmt.Sprintf("process %d: pod annotation blazar/isolation.a", a))
}

// limitedAlone checks that a process is in a memory cgroup of its own, the limit of
// which is above its container's.
func limitedAlone(t *testing.T, pid, other int) {
	t.Helper()
	mine, file := memoryCgroup(t, pid)
	theirs, _ := memoryCgroup(t, other)
	if mine == theirs {
		t.Errorf("processes %d and %d are in the same cgroup %s", pid, other, mine)
	}
	b, err := os.ReadFile(filepath.Join(mine, file))
	if err != nil {
		t.Fatal(err)
	}
	var limit int64
	if _, err := fmt.Sscan(string(b), &limit); err != nil || limit <= 64<<20 || limit > 1<<30 {
		t.Errorf("the limit of its cgroup is %q", b)
	}
}

// memoryCgroup is the directory of a process's memory cgroup and the file of its limit.
func memoryCgroup(t *testing.T, pid int) (dir, file string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[1] == "memory" {
			return filepath.Join("/sys/fs/cgroup/memory", f[2]), "memory.limit_in_bytes"
		}
		if f[1] == "" {
			dir, file = filepath.Join("/sys/fs/cgroup", f[2]), "memory.max"
		}
	}
	return dir, file
}

// The process of one container dies: it alone has ended, and says why.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	message := filepath.Join(openDir(t), "message")
	if err := os.WriteFile(message, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	p := startPod(t, isolate("victim"), isolate("other"))
	c := named("victim", busy("spin"))
	c.Mounts = []*runtime.Mount{{HostPath: message, ContainerPath: "/dev/termination-log"}}
	victim := p.start(t, c)
	victim.says(t, "spinning")
	neighbours := []*container{p.start(t, named("other", busy("sleep"))), p.start(t, named("shared", busy("sleep")))}
	pid := victim.pid(t)
	kill(t, pid)
	victim.exits(t, 137)
	contains(t, verbose(t, p), fmt.Sprintf("the container's process %d ended: wasm-task was killed by signal 9", pid))
	b, err := os.ReadFile(message)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(b), "killed by signal 9")
	for _, n := range neighbours {
		if out, err := n.exec(t, "/app.wasm", "hello"); err != nil {
			t.Error(out, err)
		}
	}
	crictl(t, "rm", victim.ID)
	again := named("victim", busy("exit", "3"))
	again.Metadata.Attempt = 1
	p.start(t, again).exits(t, 3)
}

// A process that does not answer any more cannot keep its container alive.
func TestWorkerHangs(t *testing.T) {
	t.Parallel()
	p := startPod(t, isolate("main"))
	k := p.run(t, "sleep")
	k.says(t, "sleeping")
	if err := syscall.Kill(k.pid(t), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	k.stop(t, "0")
	k.exits(t, 137)
	contains(t, verbose(t, p), "wasm-task was killed")
}

// The end of the pod's process is that of all its containers'.
func TestWorkersEndWithTheirPod(t *testing.T) {
	for name, served := range map[string]bool{"served": true, "unserved": false} {
		t.Run(name, func(t *testing.T) {
			p := startPod(t, isolate("a"), isolate("b"))
			a, b := p.start(t, named("a", busy("sleep"))), p.start(t, named("b", busy("sleep")))
			main, pids := podPid(t, p), []int{a.pid(t), b.pid(t)}
			if !served {
				killServe(t)
			}
			kill(t, main)
			eventually(t, "the processes of the containers are gone", func() bool {
				return !alive(pids[0]) && !alive(pids[1])
			})
			if !served {
				if err := theNode.StartServe(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			a.exit(t)
			b.exit(t)
			p.remove(t)
			leavesNothing(t)
		})
	}
}

// alive says whether a wasm-task of that pid is there.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "wasm-task")
}

// What dies while blazar serve is gone is known when it is back, and removed.
func TestWorkerDiesWhileServeIsKilled(t *testing.T) {
	p := startPod(t, isolate("dies"), isolate("lives"))
	dies, lives := p.start(t, named("dies", busy("sleep"))), p.start(t, named("lives", busy("sleep")))
	lives.says(t, "sleeping")
	killServe(t)
	kill(t, dies.pid(t))
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	dies.exits(t, 137)
	if out, err := lives.exec(t, "/app.wasm", "hello"); err != nil {
		t.Error(out, err)
	}
	crictl(t, "rm", dies.ID)
	p.start(t, named("new", busy("exit", "0"))).exits(t, 0)
	lives.stop(t, "0")
	lives.exits(t, 137)
	p.remove(t)
	leavesNothing(t)
}

// A container that cannot be prepared leaves no process behind.
func TestRefusedInAWorker(t *testing.T) {
	p := startPod(t, annotate("blazar/isolation", "process"), isolate("x"))
	why := p.refuse(t, node.Container("x", truncated, "/"))
	contains(t, why, "truncated")
	if n := strings.Count(why, "create container "); n != 2 { // crictl says everything twice
		t.Errorf("%d times in what crictl says: %s", n, why)
	}
	contains(t, p.refuse(t, node.Container("y", missingModule)), "/app.wasm")
	if text := verbose(t, p); strings.Contains(text, `"workers"`) {
		t.Errorf("a process is left: %s", text)
	}
	p.remove(t)
	leavesNothing(t)
}
