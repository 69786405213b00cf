package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"blazar/internal/node"
)

// The restart matrix: whatever is killed, at rest or in the middle of something, what is
// lost is what docs/restarts.md says, nothing stays, and the next pod works.

// losses say what becomes of a pod and its containers.
type losses struct{ containers, pod bool }

// document is docs/restarts.md as far as it is tables: what is lost, by kind and victim,
// and whether what is in the middle of something goes on, by kind, victim and phase.
type document struct {
	lost   map[string]map[string]losses
	goesOn map[string]bool
}

func readDocument(t *testing.T) document {
	t.Helper()
	b, err := os.ReadFile("../docs/restarts.md")
	if err != nil {
		t.Fatal(err)
	}
	d := document{lost: map[string]map[string]losses{node.Wasm: {}, node.Runc: {}}, goesOn: map[string]bool{}}
	kinds := map[string]string{"wasm": node.Wasm, "Linux": node.Runc}
	words := map[string]losses{"nothing": {}, "their containers": {containers: true}, "the pod": {containers: true, pod: true}}
	for line := range strings.Lines(string(b)) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		victim := strings.TrimPrefix(strings.Trim(row[0], "`"), "blazar ")
		switch {
		case victim == "killed" || strings.HasPrefix(victim, "---"):
		case len(row) == 3:
			for i, kind := range []string{node.Wasm, node.Runc} {
				if loss, ok := words[row[i+1]]; ok {
					d.lost[kind][victim] = loss
				}
			}
		case len(row) == 6:
			for i, phase := range []string{"create", "start", "exec", "stop"} {
				if word := row[i+2]; word == "goes on" || word == "fails" {
					d.goesOn[kinds[row[1]]+" "+victim+" "+phase] = word == "goes on"
				}
			}
		}
	}
	if len(d.lost[node.Wasm]) != 4 || len(d.lost[node.Runc]) != 4 || len(d.goesOn) != 31 {
		t.Fatalf("docs/restarts.md is not understood: %v", d)
	}
	return d
}

// cell is one of the matrix.
type cell struct {
	k       taskKind
	p       *pod
	sleeper *container // at rest all the time
	pid     int        // of the sleeper
	done    chan error // what came of what was in flight; nil if nothing is
	release func()     // lets go on what is held
	runc    held       // the call of runc that is held
}

func TestRestartMatrix(t *testing.T) {
	d := readDocument(t)
	for _, k := range taskKinds {
		if k == mixed {
			continue // see TestRestartMixedPod
		}
		victims := d.lost[k.kind]
		for _, victim := range []string{"containerd", "serve", "taskd", "wasm-task", "runc"} {
			loss, ok := victims[victim]
			if !ok {
				continue
			}
			for _, phase := range phasesOf(k, victim) {
				t.Run(fmt.Sprintf("%s/%s/%s", k.name, victim, phase), func(t *testing.T) { testCell(t, d, k, victim, phase, loss) })
			}
		}
	}
}

// phasesOf are the moments in which a victim can be met.
func phasesOf(k taskKind, victim string) []string {
	switch {
	case victim == "runc": // it runs in some of them only
		return []string{"start", "start+4ms", "start+12ms", "started", "exec", "exec+8ms", "stop"}
	case k.kind == node.Runc:
		return []string{"rest", "create", "start", "started", "exec", "stop"}
	}
	return []string{"rest", "create", "start", "exec", "stop"}
}

func testCell(t *testing.T, d document, k taskKind, victim, phase string, loss losses) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := &cell{k: k, release: func() {}}
	// A guest with a listener outlives SIGTERM.
	c.p = startPodOf(t, k.handler, annotate("blazar/listen.stubborn", "tcp:9000"))
	c.sleeper = c.p.start(t, named("sleeper", guest(k.image, "forever", "here")))
	c.sleeper.says(t, "here")
	c.pid = containerPid(t, c.sleeper)
	c.begin(ctx, t, phase)
	c.kill(t, victim, phase)
	// A call of runc that outlives its caller must do no harm either.
	if victim == "taskd" && c.runc != (held{}) {
		revive(ctx, t, victim)
		c.release()
	} else {
		c.release()
		revive(ctx, t, victim)
	}

	c.outcome(t, d, victim, phase)
	c.check(t, loss)
	if !loss.pod {
		c.p.start(t, named("next", guest(k.image, "exit", "5"))).exits(t, 5)
	}
	c.remove(t, victim)
	next := startPodOf(t, k.handler)
	next.start(t, guest(k.image, "exit", "7")).exits(t, 7)
	next.remove(t)
	leavesNothingOf(t, victim)
}

// begin brings what the phase is called after into its middle.
func (c *cell) begin(ctx context.Context, t *testing.T, phase string) {
	t.Helper()
	phase, _, _ = strings.Cut(phase, "+")
	switch phase {
	case "rest":
	case "create":
		made := c.p.create(t, named("made", guest(c.k.image, "forever")))
		c.freeze(t)
		c.inFlight(func() error { return theNode.StartContainer(ctx, made.ID) })
		time.Sleep(soon)
	case "start", "started":
		c.beginStart(ctx, t, phase)
	case "exec":
		args := []string{"exec", "--sync", c.sleeper.ID, "/task", "exit", "0"}
		if c.k.kind == node.Wasm {
			args[3] = "/task.wasm"
			c.freeze(t)
		} else {
			c.hold(t, "exec", "before", c.sleeper.ID)
		}
		c.inFlight(func() error { _, err := theNode.Crictl(ctx, args...); return err })
		c.await(t)
	case "stop":
		stubborn := c.p.start(t, named("stubborn", guest(c.k.image, "stubborn")))
		stubborn.says(t, "stubborn")
		if c.k.kind == node.Runc {
			c.hold(t, "delete", "before", stubborn.ID)
		}
		c.inFlight(func() error { _, err := theNode.Crictl(ctx, "stop", "--timeout", "2", stubborn.ID); return err })
		time.Sleep(soon)
	}
}

// beginStart begins a start: of a Linux container as CRI does, of a guest alone.
func (c *cell) beginStart(ctx context.Context, t *testing.T, phase string) {
	t.Helper()
	if c.k.kind == node.Wasm {
		task, _ := makeTask(t, c.k, c.p, "forever")
		c.freeze(t)
		c.inFlight(func() error { return task.Start(ctx) })
		time.Sleep(soon)
		return
	}
	made := c.p.create(t, named("made", guest(c.k.image, "forever")))
	c.hold(t, "run", map[string]string{"start": "before", "started": "after"}[phase], made.ID)
	c.inFlight(func() error { return theNode.StartContainer(ctx, made.ID) })
	c.await(t)
}

// inFlight runs what is to be in flight.
func (c *cell) inFlight(do func() error) {
	c.done = make(chan error, 1)
	go func() { c.done <- do() }()
}

// hold holds a call of runc, await waits for it or, where nothing is called, a moment.
func (c *cell) hold(t *testing.T, command, when, id string) {
	c.runc = hold(t, command, when, id)
	c.release = c.runc.release
}

func (c *cell) await(t *testing.T) {
	t.Helper()
	if c.runc == (held{}) {
		time.Sleep(soon)
		return
	}
	c.runc.pid(t)
}

// freeze stops the process that serves the pod's tasks until the release.
func (c *cell) freeze(t *testing.T) {
	t.Helper()
	pid := serverOf(t, c.k, c.p)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.release = func() { _ = syscall.Kill(pid, syscall.SIGCONT) } // it may be the victim
	t.Cleanup(c.release)
}

// kill kills the victim; runc in a phase such as exec+8ms that long after it went on.
func (c *cell) kill(t *testing.T, victim, phase string) {
	t.Helper()
	switch victim {
	case "containerd":
		theNode.KillContainerd()
	case "serve":
		theNode.KillServe()
	case "taskd":
		theNode.KillTaskd()
	case "wasm-task":
		kill(t, serverOf(t, c.k, c.p))
	case "runc":
		pid := c.runc.pid(t)
		if _, after, ok := strings.Cut(phase, "+"); ok {
			d, err := time.ParseDuration(after)
			if err != nil {
				t.Fatal(err)
			}
			c.release()
			time.Sleep(d)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// revive starts a daemon again.
func revive(ctx context.Context, t *testing.T, victim string) {
	t.Helper()
	start := map[string]func(context.Context) error{
		"containerd": theNode.StartContainerd, "serve": theNode.StartServe, "taskd": theNode.StartTaskd,
	}[victim]
	if start == nil {
		return
	}
	if err := start(ctx); err != nil {
		t.Fatal(err)
	}
}

// outcome waits for what was in flight, which must come to an end, and to the right one.
func (c *cell) outcome(t *testing.T, d document, victim, phase string) {
	t.Helper()
	if c.done == nil {
		return
	}
	var err error
	select {
	case err = <-c.done:
	case <-time.After(2 * patience):
		t.Fatal("what was in flight does not come to an end")
	}
	if strings.Contains(phase, "+") {
		return // it may have been done by then
	}
	if phase == "started" {
		phase = "start"
	}
	goesOn, ok := d.goesOn[c.k.kind+" "+victim+" "+phase]
	if !ok {
		t.Fatal("the document does not say what is to happen")
	}
	if goesOn && err != nil {
		t.Errorf("what was in flight failed: %v", err)
	}
	if !goesOn && err == nil {
		t.Error("what was in flight succeeded")
	}
}

// check compares what is left with what ought to be.
func (c *cell) check(t *testing.T, loss losses) {
	t.Helper()
	want := map[bool]string{false: "SANDBOX_READY", true: "SANDBOX_NOTREADY"}[loss.pod]
	eventually(t, "the pod is "+want, func() bool { return podState(t, c.p) == want })
	if loss.containers {
		if s := c.sleeper.exit(t); s.ExitCode == 0 {
			t.Error("a container that was killed has ended well")
		}
		eventually(t, "the container's process has ended", func() bool {
			return errors.Is(syscall.Kill(c.pid, 0), syscall.ESRCH)
		})
		return
	}
	if s := c.sleeper.inspect(t); s.State != "CONTAINER_RUNNING" {
		t.Errorf("the container at rest is %s: %s", s.State, s.Reason)
		return
	}
	program := map[string]string{node.Wasm: "/task.wasm"}[c.k.kind]
	if program == "" {
		program = "/task"
	}
	out, err := c.sleeper.exec(t, program, "echo", "alive")
	if err != nil || strings.TrimSpace(out) != "alive" {
		t.Errorf("exec in the container at rest: %q, %v", out, err)
	}
}

// containerPid is the process of a container.
func containerPid(t *testing.T, c *container) int {
	t.Helper()
	i, err := theNode.InspectContainer(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := i.Info["info"].(map[string]any)
	if info == nil {
		info = i.Info
	}
	pid, ok := info["pid"].(float64)
	if !ok || pid == 0 {
		t.Fatalf("the container has no pid: %v", i.Info)
	}
	return int(pid)
}

// remove removes the pod, and with it all that there was.
func (c *cell) remove(t *testing.T, victim string) {
	t.Helper()
	c.p.remove(t)
	leavesNothingOf(t, victim)
}

// leavesNothingOf is leavesNothing, but for what containerd loses itself when it is
// killed.
func leavesNothingOf(t *testing.T, victim string) {
	t.Helper()
	left, err := theNode.Leaks(t.Context(), known...)
	if err != nil {
		t.Fatal(err)
	}
	known = append(known, left...)
	for _, l := range left {
		if victim != "containerd" || notContainerds(l) {
			t.Error("left:", l)
		}
	}
}
