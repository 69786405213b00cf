package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/cgroups/v3"
	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	cgroup2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task/taskapi"
)

func lifeOfContainer(n *node) {
	p := n.pod()
	c := p.container("sleep")
	c.is(taskapi.Status_CREATED)
	if c.pids() == 0 {
		n.Error("a container that was not started has no pids: containerd would delete it after a restart")
	}
	if c.state().GetPid() == 0 {
		n.Error("a container that was not started has the pid 0: containerd would wait for its output after a restart, for ever")
	}
	c.start()
	c.says("sleeping\n")
	c.is(taskapi.Status_RUNNING)
	s := c.state()
	if s.GetId() != c.id || s.GetBundle() != c.bundle || s.GetPid() != c.pid {
		n.Errorf("state %v of a process that started as %d", s, c.pid)
	}
	if c.pids() == 0 {
		n.Error("a running container has no pids")
	}
	connected, err := p.task.Connect(n.call(), &taskapi.ConnectRequest{Id: c.id})
	n.must(err)
	served := connected.GetShimPid() == p.started.GetPid()
	if n.suite.lacks(OwnServer) {
		served = connected.GetShimPid() != 0
	}
	if connected.GetTaskPid() != c.pid || !served {
		n.Errorf("Connect answered %v for container %d of pod %d", connected, c.pid, p.started.GetPid())
	}
	stats, err := p.task.Stats(n.call(), &taskapi.StatsRequest{Id: c.id})
	if n.suite.lacks(StatsOf) {
		c.fails(err, errdefs.IsNotImplemented, "Stats")
	} else {
		n.must(err)
		checkMetrics(n, stats.GetStats())
	}
	if err := c.tryDelete(); !errdefs.IsFailedPrecondition(err) {
		n.Errorf("Delete of a running container: %v", err)
	}
	n.must(p.task.Shutdown(n.call(), &taskapi.ShutdownRequest{Id: c.id, Now: true}))
	c.is(taskapi.Status_RUNNING)

	waits := make(chan error, 2)
	for range cap(waits) {
		ctx := n.call()
		go func() {
			r, err := p.task.Wait(ctx, &taskapi.WaitRequest{Id: c.id})
			if err == nil && r.GetExitStatus() != 137 {
				err = fmt.Errorf("exit status %d", r.GetExitStatus())
			}
			waits <- err
		}()
	}
	n.must(c.signal(syscall.SIGKILL))
	for range cap(waits) {
		if err := <-waits; err != nil {
			n.Errorf("Wait that was blocked at the kill: %v", err)
		}
	}
	c.exits(137)
	if c.pids() == 0 {
		n.Error("a container whose exit is not collected has no pids: containerd would forget its exit after a restart")
	}
	c.remove()
	n.state(p.id, ready)
	n.shutdown(p.id)
}

// pids counts the container's processes.
func (p *process) pids() int {
	p.Helper()
	r, err := p.task.Pids(p.call(), &taskapi.PidsRequest{Id: p.id})
	p.must(err)
	for _, i := range r.GetProcesses() {
		if i.GetPid() == 0 {
			p.Error("pid 0")
		}
	}
	return len(r.GetProcesses())
}

func (p *process) fails(err error, is func(error) bool, what string) {
	p.Helper()
	if !is(err) {
		p.Errorf("%s: %v", what, err)
	}
}

// checkMetrics checks that an Any holds what the CRI plugin can read: the message of
// the host's version of cgroups.
func checkMetrics(n *node, data *anypb.Any) {
	n.Helper()
	if empty(data) {
		n.Error("empty metrics")
		return
	}
	m, err := typeurl.UnmarshalAny(data)
	n.must(err)
	unified := cgroups.Mode() == cgroups.Unified
	switch m := m.(type) {
	case *cgroup1.Metrics:
		if unified || m.GetMemory().GetUsage().GetUsage() == 0 {
			n.Errorf("metrics %v", m)
		}
	case *cgroup2.Metrics:
		if !unified || m.GetMemory().GetUsage() == 0 {
			n.Errorf("metrics %v", m)
		}
	default:
		n.Errorf("metrics are a %T", m)
	}
}

func exitCodes(n *node) {
	p := n.pod()
	for _, code := range []string{"0", "1", "42", "125"} {
		c := p.container("exit", code)
		c.start()
		var want uint32
		_, err := fmt.Sscan(code, &want)
		n.must(err)
		c.exits(want)
		c.remove()
	}
	c := p.container("echo", "to stdout", "to stderr")
	c.start()
	c.exits(0)
	c.remove()
	if out, err := c.stdout.string(), c.stderr.string(); out != "to stdout\n" || err != "to stderr\n" {
		n.Errorf("stdout %q, stderr %q", out, err)
	}
	n.shutdown(p.id)
}

func signals(n *node) {
	p := n.pod()
	for _, s := range []struct {
		program []string
		signal  syscall.Signal
		status  uint32
	}{
		{[]string{"sleep"}, syscall.SIGTERM, 143},
		{[]string{"sleep"}, syscall.SIGKILL, 137},
		{[]string{"spin"}, syscall.SIGKILL, 137},
		{[]string{"cat"}, syscall.SIGKILL, 137}, // blocked in a read
	} {
		c := p.container(s.program...)
		c.start()
		if s.program[0] == "sleep" {
			c.says("sleeping\n")
		}
		began := time.Now()
		n.must(c.signal(s.signal))
		c.exits(s.status)
		if took := time.Since(began); took > 2*time.Second {
			n.Errorf("signal %v ended %v after %v", s.signal, s.program, took)
		}
		c.fails(c.signal(syscall.SIGKILL), errdefs.IsNotFound, "Kill after the exit")
		c.remove()
	}
	if !n.suite.lacks(Deaf) {
		c := p.container("deaf")
		c.start()
		c.says("deaf\n")
		n.must(c.signal(syscall.SIGTERM))
		time.Sleep(50 * time.Millisecond)
		c.is(taskapi.Status_RUNNING)
		c.end()
	}
	c := p.container("sleep")
	c.start()
	for _, bad := range []uint32{65, 1 << 31} {
		err := p.task.Kill(n.call(), &taskapi.KillRequest{Id: c.id, Signal: bad})
		c.fails(err, errdefs.IsInvalidArgument, fmt.Sprint("Kill with signal ", bad))
	}
	n.must(c.signal(0))
	c.end()
	n.shutdown(p.id)
}

func containerOutOfOrder(n *node) {
	p := n.pod()
	u := &process{pod: p, id: n.newID()}
	_, err := p.task.Start(n.call(), &taskapi.StartRequest{Id: u.id})
	u.fails(err, errdefs.IsNotFound, "Start of an unknown container")
	_, err = p.task.State(n.call(), &taskapi.StateRequest{Id: u.id})
	u.fails(err, errdefs.IsNotFound, "State of an unknown container")
	_, err = p.task.Wait(n.call(), &taskapi.WaitRequest{Id: u.id})
	u.fails(err, errdefs.IsNotFound, "Wait for an unknown container")
	_, err = p.task.Pids(n.call(), &taskapi.PidsRequest{Id: u.id})
	u.fails(err, errdefs.IsNotFound, "Pids of an unknown container")
	u.fails(u.signal(syscall.SIGKILL), errdefs.IsNotFound, "Kill of an unknown container")
	u.fails(u.tryDelete(), errdefs.IsNotFound, "Delete of an unknown container")
	for _, id := range []string{"", "..", "a/b"} {
		_, err := p.task.Create(n.call(), &taskapi.CreateTaskRequest{Id: id, Bundle: p.dir})
		u.fails(err, errdefs.IsInvalidArgument, fmt.Sprintf("Create of container %q", id))
	}
	_, err = p.task.Create(n.call(), &taskapi.CreateTaskRequest{Id: u.id, Bundle: p.dir + "/none"})
	if err == nil {
		n.Error("Create without a bundle succeeded")
	}

	// Deleted instead of started.
	c := p.container("sleep")
	_, err = p.task.Create(n.call(), &taskapi.CreateTaskRequest{Id: c.id, Bundle: c.bundle})
	c.fails(err, errdefs.IsAlreadyExists, "second Create")
	c.remove()
	c.fails(c.tryDelete(), errdefs.IsNotFound, "second Delete")

	// Killed instead of started.
	c = p.container("sleep")
	n.must(c.signal(syscall.SIGKILL))
	c.exits(137)
	_, err = p.task.Start(n.call(), &taskapi.StartRequest{Id: c.id})
	c.fails(err, errdefs.IsFailedPrecondition, "Start after Kill")
	c.remove()

	c = p.container("exit", "0")
	c.start()
	_, err = p.task.Start(n.call(), &taskapi.StartRequest{Id: c.id})
	c.fails(err, errdefs.IsFailedPrecondition, "second Start")
	c.exits(0)
	_, err = p.task.Start(n.call(), &taskapi.StartRequest{Id: c.id})
	c.fails(err, errdefs.IsFailedPrecondition, "Start after the exit")
	c.remove()
	n.shutdown(p.id)
}

func failedStart(n *node) {
	p := n.pod()
	defer func() { n.shutdown(p.id) }()
	if n.suite.lacks(LateFailure) {
		c := &process{pod: p, id: n.newID()}
		c.refusedEarly(Program{Args: []string{"unstartable"}})
	} else {
		failedLate(n, p)
	}
	good := p.container("exit", "3")
	good.start()
	good.exits(3)
	good.remove()
}

func failedLate(n *node, p *pod) {
	c := p.container("unstartable")
	ctx := n.call()
	waited := make(chan error, 1)
	go func() {
		r, err := p.task.Wait(ctx, &taskapi.WaitRequest{Id: c.id})
		if err == nil && r.GetExitStatus() == 0 {
			err = fmt.Errorf("exit status 0")
		}
		waited <- err
	}()
	if _, err := p.task.Start(n.call(), &taskapi.StartRequest{Id: c.id}); err == nil {
		n.Error("a program that cannot be started started")
	}
	if err := <-waited; err != nil {
		n.Errorf("Wait that was blocked at a failed Start: %v", err)
	}
	c.is(taskapi.Status_STOPPED)
	c.remove()
}

func input(n *node) {
	p := n.pod()
	c := p.container("cat")
	c.start()
	_, err := c.stdin.Write([]byte("first\n"))
	n.must(err)
	c.says("first\n")
	_, err = c.stdin.Write([]byte("last"))
	n.must(err)
	n.must(c.stdin.Close())
	// The client may come back: only CloseIO ends the input.
	time.Sleep(50 * time.Millisecond)
	c.is(taskapi.Status_RUNNING)
	n.must(p.task.CloseIO(n.call(), &taskapi.CloseIORequest{Id: c.id, Stdin: true}))
	c.exits(0)
	n.must(p.task.CloseIO(n.call(), &taskapi.CloseIORequest{Id: c.id, Stdin: true}))
	c.remove()
	if out := c.stdout.string(); out != "first\nlast" {
		n.Errorf("stdout %q", out)
	}
	// Closed before the start.
	c = p.container("cat")
	n.must(c.stdin.Close())
	n.must(p.task.CloseIO(n.call(), &taskapi.CloseIORequest{Id: c.id, Stdin: true}))
	c.start()
	c.exits(0)
	c.remove()
	n.shutdown(p.id)
}

// muchOutput checks that nothing is lost, and that the exit comes after the output.
func muchOutput(n *node) {
	const size = 20 << 20
	p := n.pod()
	for _, t := range []bool{false, true} {
		if t && n.suite.lacks(Terminal) {
			continue
		}
		c := p.containerOf(Program{Args: []string{"fill", fmt.Sprint(size)}, Terminal: t})
		c.start()
		c.exits(0)
		c.remove()
		got := c.stdout.bytes()
		if t {
			got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
		}
		if len(got) != size {
			n.Fatalf("%d bytes of %d came, terminal %v", len(got), size, t)
		}
		for i, b := range got {
			if b != byte(i%251) {
				n.Fatalf("byte %d is %d, terminal %v", i, b, t)
			}
		}
	}
	n.shutdown(p.id)
}

func terminal(n *node) {
	p := n.pod()
	if n.suite.lacks(Terminal) {
		c := &process{pod: p, id: n.newID()}
		_, err := p.task.Create(n.call(), c.request(Program{Args: []string{"sleep"}, Terminal: true}))
		c.fails(err, errdefs.IsNotImplemented, "container with a terminal")
		c.closeIO()
		n.shutdown(p.id)
		return
	}
	c := p.containerOf(Program{Args: []string{"cat"}, Terminal: true})
	c.start()
	n.must(p.task.ResizePty(n.call(), &taskapi.ResizePtyRequest{Id: c.id, Width: 80, Height: 25}))
	_, err := c.stdin.Write([]byte("hello\n"))
	n.must(err)
	c.says("hello\r\nhello\r\n") // the terminal's echo, then the program
	n.must(c.stdin.Close())
	n.must(p.task.CloseIO(n.call(), &taskapi.CloseIORequest{Id: c.id, Stdin: true}))
	c.exits(0)
	c.remove()

	c = p.container("sleep")
	c.start()
	err = p.task.ResizePty(n.call(), &taskapi.ResizePtyRequest{Id: c.id, Width: 80, Height: 25})
	c.fails(err, errdefs.IsFailedPrecondition, "ResizePty without a terminal")
	c.end()
	n.shutdown(p.id)
}

func pause(n *node) {
	p := n.pod()
	c := p.container("sleep")
	err := p.task.Pause(n.call(), &taskapi.PauseRequest{Id: c.id})
	if n.suite.lacks(Pausing) {
		c.fails(err, errdefs.IsNotImplemented, "Pause")
		c.remove()
		n.shutdown(p.id)
		return
	}
	c.fails(err, errdefs.IsFailedPrecondition, "Pause before Start")
	c.start()
	err = p.task.Resume(n.call(), &taskapi.ResumeRequest{Id: c.id})
	c.fails(err, errdefs.IsFailedPrecondition, "Resume of a running container")
	n.must(p.task.Pause(n.call(), &taskapi.PauseRequest{Id: c.id}))
	c.is(taskapi.Status_PAUSED)
	err = p.task.Pause(n.call(), &taskapi.PauseRequest{Id: c.id})
	c.fails(err, errdefs.IsFailedPrecondition, "second Pause")
	n.must(p.task.Resume(n.call(), &taskapi.ResumeRequest{Id: c.id}))
	c.is(taskapi.Status_RUNNING)
	n.must(p.task.Pause(n.call(), &taskapi.PauseRequest{Id: c.id}))
	c.end() // killed while paused
	n.shutdown(p.id)
}

func severalContainers(n *node) {
	p := n.pod()
	a, b := p.container("sleep"), p.container("sleep")
	a.start()
	b.start()
	if !n.suite.lacks(HostPids) && a.pid == b.pid {
		n.Errorf("two containers have pid %d", a.pid)
	}
	a.end()
	b.is(taskapi.Status_RUNNING)
	c := p.container("echo", "third")
	c.start()
	c.exits(0)
	c.remove()
	b.end()
	n.shutdown(p.id)
}

func taskV2(n *node) {
	p := n.pod()
	p.task = taskapi.NewClientV2(p.conn.client)
	c := p.container("exit", "7")
	c.start()
	c.exits(7)
	c.remove()
	n.shutdown(p.id)
}

// hungUp waits for the end of the connection to a pod's Task API, where that is the
// pod's own.
func (n *node) hungUp(p *pod, complaint string) {
	n.Helper()
	if n.suite.lacks(OwnServer) {
		return
	}
	select {
	case <-p.conn.ended:
	case <-time.After(callTimeout):
		n.Error(complaint)
	}
}

// shutdownWithContainers ends a pod whose containers nobody has stopped.
func shutdownWithContainers(n *node) {
	p := n.pod()
	containers := []*process{p.container("sleep"), p.container("spin"), p.container("sleep"), p.container("exit", "0")}
	for _, c := range containers[:2] {
		c.start()
	}
	containers[3].start()
	containers[3].exits(0)
	n.shutdown(p.id)
	n.hungUp(p, "the Task API answers after Shutdown")
	_, err := p.task.State(context.WithoutCancel(n.ctx), &taskapi.StateRequest{Id: containers[0].id})
	if err == nil {
		n.Error("State after Shutdown of the pod succeeded")
	}
	for _, c := range slices.Backward(containers) {
		c.closeIO()
	}
}
