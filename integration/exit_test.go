package integration

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	for _, code := range []string{"0", "1", "42", "255"} {
		t.Run(code, func(t *testing.T) {
			k := p.start(t, named("exit-"+code, busy("exit", code)))
			want := map[string]int32{"0": 0, "1": 1, "42": 42, "255": 255}[code]
			s := k.exits(t, want)
			if reason := map[bool]string{true: "Completed", false: "Error"}[want == 0]; s.Reason != reason {
				t.Errorf("reason %q, expected %q", s.Reason, reason)
			}
		})
	}
}

// endsWithin is what "at once" means on a machine busy with other tests; the grace
// period that must not be used up is far longer.
const endsWithin = 5 * time.Second

// A guest without listeners cannot be told to end: it is ended.
func TestTermEndsGuestWithoutListeners(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	for name, c := range blockers() {
		t.Run(name, func(t *testing.T) {
			k := p.start(t, named(name, c))
			k.says(t, "ing")
			if took := k.stop(t, "30"); took > endsWithin {
				t.Errorf("SIGTERM took %s", took)
			}
			k.exits(t, 143)
		})
	}
}

// SIGKILL ends whatever a guest does.
func TestKill(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	for name, c := range blockers() {
		t.Run(name, func(t *testing.T) {
			k := p.start(t, named(name, c))
			k.says(t, "ing")
			if took := k.stop(t, "0"); took > endsWithin {
				t.Errorf("SIGKILL took %s", took)
			}
			k.exits(t, 137)
		})
	}
}

// blockers are guests in every place where one can be stuck.
func blockers() map[string]*runtime.ContainerConfig {
	all := map[string]*runtime.ContainerConfig{
		"go-spin":  busy("spin"),
		"go-sleep": busy("sleep"),
		"go-read":  busy("lines"),
		"c-spin":   raw("spin"),
		"c-sleep":  raw("sleep"),
		"c-read":   raw("read"),
	}
	for _, name := range []string{"go-read", "c-read"} {
		all[name].Stdin = true
	}
	return all
}

// SIGKILL also ends one that waits for a connection.
func TestKillInAccept(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/listen", "tcp:8080"))
	k := p.start(t, raw("accept"))
	k.says(t, "accepting")
	if took := k.stop(t, "0"); took > endsWithin {
		t.Errorf("SIGKILL took %s", took)
	}
	k.exits(t, 137)
}

// One that listens sees its listener closed, and may finish what it has accepted.
func TestTermDrainsListener(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/listen", "tcp:8080"))
	k := p.run(t, "serve")
	k.says(t, "serving")
	address := net.JoinHostPort(podIP(t, p), "8080")

	answer := make(chan string, 1)
	go func() { answer <- get(address, "/slow") }()
	k.says(t, "working")
	k.stop(t, "30")
	contains(t, <-answer, "slow answer")
	k.exits(t, 0)
	contains(t, k.logs(t), "drained")
}

// One that listens and does not care is killed when its grace has passed.
func TestTermThenKill(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/listen", "tcp:8080"))
	k := p.run(t, "spin")
	k.says(t, "spinning")
	if took := k.stop(t, "1"); took < time.Second {
		t.Errorf("it was ended after %s, before its grace of 1 s had passed", took)
	}
	k.exits(t, 137)
}

func TestTrap(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	k := p.start(t, raw("trap"))
	k.exits(t, 134)
	// The trap, the module and the function, for whoever reads the log.
	contains(t, k.logs(t), "about to trap", "unreachable", "raw.wasm")
}

// The trap is also in the container's status: kubelet mounts a file for that message.
func TestTrapInStatus(t *testing.T) {
	t.Parallel()
	message := filepath.Join(openDir(t), "message")
	if err := os.WriteFile(message, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	p := startPod(t)
	c := raw("trap")
	c.Annotations = map[string]string{"io.kubernetes.container.terminationMessagePath": "/dev/termination-log"}
	c.Mounts = []*runtime.Mount{{HostPath: message, ContainerPath: "/dev/termination-log"}}
	p.start(t, c).exits(t, 134)
	b, err := os.ReadFile(message)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(b), "unreachable", "raw.wasm")
}

func TestStackOverflowIsATrap(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	k := p.start(t, raw("recurse"))
	k.exits(t, 134)
	contains(t, k.logs(t), "call stack exhausted")
}

// A guest over its limit ends with the reason that Kubernetes knows, and its pod
// and neighbour live on.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	n := p.start(t, named("neighbour", busy("sleep")))
	n.says(t, "sleeping")

	c := busy("leak")
	c.Linux.Resources = &runtime.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}
	k := p.start(t, c)
	s := k.exit(t)
	if s.Reason != "OOMKilled" || s.ExitCode == 0 {
		t.Errorf("reason %q (%s), exit code %d", s.Reason, s.Message, s.ExitCode)
	}
	contains(t, k.logs(t), "memory")
	if s := n.inspect(t); s.State != "CONTAINER_RUNNING" {
		t.Errorf("the neighbour is %s", s.State)
	}
}

// A container that has exited may be started again as a new one, as kubelet does.
func TestRestartedContainer(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	for attempt := range uint32(3) {
		c := node.Container("again", busyImage)
		c.Args = []string{"exit", "3"}
		c.Metadata.Attempt = attempt
		k := p.start(t, c)
		k.exits(t, 3)
		crictl(t, "rm", k.ID)
	}
}
