package runctask

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task/taskapi"
)

func TestExitCodes(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		args []string
		want uint32
	}{
		{[]string{"exit", "0"}, 0}, {[]string{"exit", "1"}, 1}, {[]string{"exit", "42"}, 42},
		{[]string{"exit", "255"}, 255}, {[]string{"echo", "out", "err"}, 0},
	} {
		p := n.run(c.args...)
		p.exits(c.want)
		p.delete()
		if c.args[0] == "echo" && (p.stdout.string() != "out\n" || p.stderr.string() != "err\n") {
			t.Errorf("stdout %q, stderr %q", p.stdout.string(), p.stderr.string())
		}
	}
	for _, program := range []string{"sleep", "spin"} {
		p := n.run(program)
		p.end()
		for _, topic := range []string{"create", "start", "exit", "delete"} {
			n.eventually(topic, func() bool { return n.events.has("testing /tasks/" + topic + " " + p.id) })
		}
	}
	p := n.createWith(hostPids, false, "signal")
	p.start()
	p.exits(128 + uint32(syscall.SIGTERM))
	p.delete()
}

// hostPids puts a container into the host's pid namespace, where its first process is
// no init.
func hostPids(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[1:] }

func (n *node) eventually(what string, ok func() bool) {
	n.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	n.Fatalf("never: %s", what)
}

// Processes that end before the runtime has come back lose neither exit nor output.
func TestFastExits(t *testing.T) {
	n := newNode(t)
	var wg sync.WaitGroup
	for range 4 {
		var all []*ctr
		for range 25 {
			all = append(all, n.prepare(nil, false, "echo", "fast"))
		}
		wg.Go(func() {
			for _, p := range all {
				if _, err := n.tasks.Create(n.call(), p.request); err != nil {
					t.Error(err)
					return
				}
				p.start()
				p.exits(0)
				p.delete()
				if p.stdout.string() != "fast\n" {
					t.Errorf("stdout %q", p.stdout.string())
				}
			}
		})
	}
	wg.Wait()
	c := n.run("sleep")
	for i := range 50 {
		e := c.exec(fmt.Sprint("e", i), false, "exit", fmt.Sprint(i))
		e.execExits(fmt.Sprint("e", i), uint32(i))
		e.stdout.end()
		e.stderr.end()
	}
	c.end()
}

// A program that cannot be started fails its Start, with the runtime's own reason.
func TestUnstartable(t *testing.T) {
	n := newNode(t)
	p := n.createWith(func(s *specs.Spec) { s.Process.Args[0] = "/none" }, false)
	_, err := n.tasks.Start(n.call(), &taskapi.StartRequest{Id: p.id})
	if err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("Start: %v", err)
	}
	p.delete()
	c := n.run("sleep")
	e := &ctr{node: n}
	q := c.execRequest(e, "bad", false, "x")
	q.Spec.Value = []byte(strings.ReplaceAll(string(q.Spec.Value), "/guest", "/none"))
	n.must(n.tasks.Exec(n.call(), q))
	if _, err = n.tasks.Start(n.call(), &taskapi.StartRequest{Id: c.id, ExecId: "bad"}); err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("Start: %v", err)
	}
	_, err = n.tasks.Delete(n.call(), &taskapi.DeleteRequest{Id: c.id, ExecId: "bad"})
	n.must(err)
	e.stdout.end()
	e.stderr.end()
	c.end()
}

func TestOutputAndInput(t *testing.T) {
	const size = 20 << 20
	n := newNode(t)
	p := n.run("fill", fmt.Sprint(size))
	p.exits(0)
	p.delete()
	if got := p.stdout.string(); len(got) != size {
		t.Errorf("%d bytes of %d", len(got), size)
	} else {
		for i := range len(got) {
			if got[i] != byte(i%251) {
				t.Fatalf("byte %d is %d", i, got[i])
			}
		}
	}
	c := n.run("cat")
	_, err := c.stdin.WriteString("hello")
	n.must(err)
	c.says("hello")
	n.must(c.stdin.Close())
	time.Sleep(20 * time.Millisecond) // its client went; it may come back
	if s := n.stateOf(c.id); s.GetStatus() != taskapi.Status_RUNNING {
		t.Errorf("state %v", s)
	}
	n.must(n.tasks.CloseIO(n.call(), &taskapi.CloseIORequest{Id: c.id, Stdin: true}))
	c.exits(0)
	c.delete()
}

func (n *node) stateOf(id string) *taskapi.StateResponse {
	n.Helper()
	s, err := n.tasks.State(n.call(), &taskapi.StateRequest{Id: id})
	n.must(err)
	return s
}

func TestTerminal(t *testing.T) {
	n := newNode(t)
	c := n.createWith(nil, true, "cat")
	c.start()
	_, err := c.stdin.WriteString("hello\n")
	n.must(err)
	c.says("hello\r\nhello\r\n")
	e := c.exec("tty", true, "size")
	n.must(n.tasks.ResizePty(n.call(), &taskapi.ResizePtyRequest{Id: c.id, ExecId: "tty", Width: 91, Height: 37}))
	select {
	case <-e.stdout.done: // before Delete, for which containerd waits
	case <-time.After(30 * time.Second):
		t.Error("the output of an exec with a terminal does not end with it")
	}
	e.execExits("tty", 0)
	if got := e.stdout.string(); got != "91 37\r\n" {
		t.Errorf("size %q", got)
	}
	e.stdout.end()
	c.kill(syscall.SIGKILL)
	c.exits(137)
	<-c.stdout.done
	c.delete()
}

func TestControl(t *testing.T) {
	n := newNode(t)
	c := n.createWith(func(s *specs.Spec) {
		limit := int64(64 << 20)
		s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	}, false, "sleep")
	if s := n.stateOf(c.id); s.GetStatus() != taskapi.Status_CREATED || s.GetPid() != uint32(os.Getpid()) {
		t.Errorf("created: %v", s)
	}
	pid := c.start()
	c.says("sleeping")
	pids, err := n.tasks.Pids(n.call(), &taskapi.PidsRequest{Id: c.id})
	n.must(err)
	if len(pids.GetProcesses()) != 1 || pids.GetProcesses()[0].GetPid() != pid {
		t.Errorf("pids %v of %d", pids, pid)
	}
	limit := int64(96 << 20)
	a, err := json.Marshal(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}})
	n.must(err)
	n.must(n.tasks.Update(n.call(), &taskapi.UpdateTaskRequest{Id: c.id, Resources: &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources", Value: a}}))
	stats, err := n.tasks.Stats(n.call(), &taskapi.StatsRequest{Id: c.id})
	n.must(err)
	m, err := typeurl.UnmarshalAny(stats.GetStats())
	n.must(err)
	if m, ok := m.(*cgroup1.Metrics); ok && (m.GetMemory().GetUsage().GetLimit() != uint64(limit) || m.GetMemory().GetUsage().GetUsage() == 0) {
		t.Errorf("memory %v", m.GetMemory().GetUsage())
	}
	n.must(n.tasks.Pause(n.call(), &taskapi.PauseRequest{Id: c.id}))
	if s := n.stateOf(c.id); s.GetStatus() != taskapi.Status_PAUSED {
		t.Errorf("paused: %v", s)
	}
	n.must(n.tasks.Resume(n.call(), &taskapi.ResumeRequest{Id: c.id}))
	n.must(n.tasks.Pause(n.call(), &taskapi.PauseRequest{Id: c.id}))
	c.end() // although it is frozen
}

// What a container leaves in somebody else's pid namespace ends with it.
func TestLeftProcesses(t *testing.T) {
	n := newNode(t)
	c := n.createWith(hostPids, false, "child")
	c.start()
	c.exits(0)
	select {
	case <-c.stdout.done: // the child has ended too, or it would hold the FIFO
	case <-time.After(30 * time.Second):
		t.Error("a process outlives its container")
	}
	c.delete()
}

func TestOOM(t *testing.T) {
	n := newNode(t)
	for _, first := range []bool{true, false} {
		args := []string{"eat"}
		if first {
			args = []string{"devour"}
		}
		limit := int64(24 << 20)
		c := n.createWith(func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
		}, false, args...)
		c.start()
		if first {
			c.exits(137)
		}
		n.eventually("an OOM event", func() bool { return n.events.has("testing /tasks/oom " + c.id) })
		if first {
			c.delete()
			continue
		}
		c.says("child:")
		c.end()
	}
}

// A FIFO that nobody reads, and a runtime that does not come back, hold up their own
// container alone.
func TestStuck(t *testing.T) {
	real := runtimeOf(t)
	n := newNode(t, func(c *Config) {
		c.CommandTimeout = 3 * time.Second
		c.Binary = stuckRuntime(t, real)
	})
	c := n.prepare(nil, false, "fill", "1000000")
	c.stdout.end() // nobody reads
	_, err := n.tasks.Create(n.call(), c.request)
	n.must(err)
	starting := make(chan error, 1)
	go func() {
		_, err := n.tasks.Start(n.call(), &taskapi.StartRequest{Id: c.id})
		starting <- err
	}()
	for _, phase := range []string{"run", "exec", "pause", "delete"} {
		p := n.createWith(func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "STUCK="+phase) }, false, "sleep")
		_, err := n.tasks.Start(n.call(), &taskapi.StartRequest{Id: p.id})
		if (err != nil) != (phase == "run") {
			t.Errorf("start, stuck in %s: %v", phase, err)
		}
		switch phase {
		case "exec":
			e := &ctr{node: n}
			n.must(n.tasks.Exec(n.call(), p.execRequest(e, "e", false, "sleep")))
			if _, err := n.tasks.Start(n.call(), &taskapi.StartRequest{Id: p.id, ExecId: "e"}); err == nil {
				t.Error("a stuck exec succeeded")
			}
			_, err := n.tasks.Delete(n.call(), &taskapi.DeleteRequest{Id: p.id, ExecId: "e"})
			n.must(err)
			e.stdout.end()
			e.stderr.end()
		case "pause":
			if err := n.tasks.Pause(n.call(), &taskapi.PauseRequest{Id: p.id}); err == nil {
				t.Error("a stuck pause succeeded")
			}
		}
		if phase != "run" {
			p.kill(syscall.SIGKILL)
			p.exits(137)
		}
		p.delete()
	}
	n.must(n.tasks.Kill(n.call(), &taskapi.KillRequest{Id: c.id, Signal: 9}))
	if err := <-starting; err == nil {
		t.Error("a container whose output nobody reads started")
	}
	c.delete()
}

// stuckRuntime is the runtime, but that it hangs in the command that a container's
// environment names.
func stuckRuntime(t *testing.T, real string) string {
	path := t.TempDir() + "/runtime"
	script := `#!/bin/sh
for a; do case $a in run|exec|pause|delete) command=$a; break;; esac; done
id=
for a; do id=$a; done
if grep -qs "STUCK=$command" ` + os.TempDir() + `/g*/b/$id/config.json; then
	[ $command = exec ] || [ $command = run ] && ` + real + ` "$@"
	exec sleep 1000
fi
exec ` + real + ` "$@"
`
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRefusals(t *testing.T) {
	n := newNode(t)
	for name, change := range map[string]func(*specs.Spec){
		"cgroup of others": func(s *specs.Spec) { s.Linux.CgroupsPath = "/" },
		"unknown pod":      func(s *specs.Spec) { s.Annotations = map[string]string{sandboxAnnotation: "none"} },
		"no linux":         func(s *specs.Spec) { s.Linux = nil },
	} {
		p := n.prepare(change, false, "sleep")
		if _, err := n.tasks.Create(n.call(), p.request); err == nil {
			t.Errorf("%s: created", name)
		}
		p.stdout.end()
		p.stderr.end()
	}
	if _, err := lock(n.state + "/taskd.lock"); !errdefs.IsAlreadyExists(err) {
		t.Errorf("a second task server: %v", err)
	}
}
