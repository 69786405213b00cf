package sandboxtest

import (
	"syscall"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task/taskapi"
)

// failingExec adds a program that cannot be started.
func failingExec(n *node, c *process) {
	program := Program{Args: []string{"unstartable"}}
	if n.suite.lacks(LateFailure) {
		(&process{pod: c.pod, id: c.id, exec: "failing"}).refusedEarly(program)
		return
	}
	failing := c.execOf("failing", program)
	if _, err := c.task.Start(n.call(), &taskapi.StartRequest{Id: c.id, ExecId: "failing"}); err == nil {
		n.Error("a program that cannot be started started")
	}
	failing.is(taskapi.Status_STOPPED)
	failing.remove()
}

func execs(n *node) {
	p := n.pod()
	c := p.container("sleep")

	// Before the container runs it may be added, but not started.
	early := c.execOf("early", Program{Args: []string{"exit", "0"}})
	_, err := p.task.Start(n.call(), &taskapi.StartRequest{Id: c.id, ExecId: "early"})
	c.fails(err, errdefs.IsFailedPrecondition, "Start of an exec before its container")
	early.remove()
	c.start()

	e := c.execOf("one", Program{Args: []string{"echo", "out", "err"}})
	e.is(taskapi.Status_CREATED)
	c.fails(p.task.Exec(n.call(), e.requestAgain()), errdefs.IsAlreadyExists, "Exec with an id that is taken")
	e.fails(e.signal(syscall.SIGTERM), errdefs.IsFailedPrecondition, "Kill of an exec that was not started")
	e.start()
	e.exits(0)
	e.remove()
	if out, err := e.stdout.string(), e.stderr.string(); out != "out\n" || err != "err\n" {
		n.Errorf("stdout %q, stderr %q", out, err)
	}
	e.fails(e.tryDelete(), errdefs.IsNotFound, "second Delete of an exec")

	e = c.execOf("one", Program{Args: []string{"exit", "9"}}) // the id is free again
	e.start()
	e.exits(9)
	e.remove()

	for _, id := range []string{"", "..", "a/b"} {
		bad := &taskapi.ExecProcessRequest{Id: c.id, ExecId: id, Spec: e.requestAgain().GetSpec()}
		c.fails(p.task.Exec(n.call(), bad), errdefs.IsInvalidArgument, "Exec with a bad id")
	}
	for _, spec := range []*anypb.Any{nil, {TypeUrl: "what"}, {TypeUrl: processType, Value: []byte("{")}} {
		bad := &taskapi.ExecProcessRequest{Id: c.id, ExecId: "bad", Spec: spec}
		c.fails(p.task.Exec(n.call(), bad), errdefs.IsInvalidArgument, "Exec with a bad process")
	}

	failingExec(n, c)
	interactive(n, c)

	killed := c.execOf("killed", Program{Args: []string{"sleep"}})
	killed.start()
	killed.says("sleeping\n")
	c.is(taskapi.Status_RUNNING)
	killed.end()
	c.is(taskapi.Status_RUNNING)

	// The end of the container is the end of its execs.
	last := c.execOf("last", Program{Args: []string{"sleep"}})
	last.start()
	last.says("sleeping\n")
	n.must(c.signal(syscall.SIGKILL))
	c.exits(137)
	last.exits(137)
	c.fails(p.task.Exec(n.call(), &taskapi.ExecProcessRequest{Id: c.id, ExecId: "late", Spec: last.requestAgain().GetSpec()}),
		errdefs.IsFailedPrecondition, "Exec after the exit")
	c.remove() // the exec with it
	last.closeIO()
	n.shutdown(p.id)
}

// requestAgain is a request for the same id, without stdio.
func (p *process) requestAgain() *taskapi.ExecProcessRequest {
	return &taskapi.ExecProcessRequest{Id: p.id, ExecId: p.exec, Spec: &anypb.Any{TypeUrl: processType, Value: []byte(`{"args":["exit","0"],"cwd":"/"}`)}}
}

// interactive runs a shell-like exec.
func interactive(n *node, c *process) {
	e := c.execOf("interactive", Program{Args: []string{"cat"}, Terminal: !n.suite.lacks(Terminal)})
	e.start()
	_, err := e.stdin.Write([]byte("typed\n"))
	n.must(err)
	e.says("typed")
	n.must(e.stdin.Close())
	n.must(e.task.CloseIO(n.call(), &taskapi.CloseIORequest{Id: e.id, ExecId: e.exec, Stdin: true}))
	e.exits(0)
	e.remove()
}
