package sandboxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/fifo"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task/taskapi"
)

// processType is the name under which containerd sends a specs.Process.
const processType = "types.containerd.io/opencontainers/runtime-spec/1/Process"

// process is a container's first process or an exec, with its stdio.
type process struct {
	*pod
	id, exec       string
	bundle         string
	pid            uint32
	stdin          io.WriteCloser
	stdout, stderr *capture
}

// capture reads a FIFO to its end.
type capture struct {
	mu   sync.Mutex // guards data
	data bytes.Buffer
	file io.ReadCloser
	done chan struct{}
}

func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data.Write(b)
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.data.Bytes())
}

func (c *capture) string() string { return string(c.bytes()) }

// fifos makes the FIFOs of a process and opens the suite's ends of them.
func (p *process) fifos(terminal bool) (stdin, stdout, stderr string) {
	p.Helper()
	parent := p.dir
	if p.harness.IO != nil {
		parent = p.harness.IO(p, p.pod.id, p.id)
	}
	dir, err := os.MkdirTemp(parent, "io")
	p.must(err)
	open := func(name string, flags int) (string, io.ReadWriteCloser) {
		path := filepath.Join(dir, name)
		f, err := fifo.OpenFifo(context.WithoutCancel(p.ctx), path, flags|syscall.O_CREAT|syscall.O_NONBLOCK, 0o600)
		p.must(err)
		return path, f
	}
	read := func(name string) (string, *capture) {
		path, f := open(name, syscall.O_RDONLY)
		c := &capture{file: f, done: make(chan struct{})}
		go func() {
			defer close(c.done)
			_, _ = io.Copy(c, f) // what is missing is seen in the data
		}()
		return path, c
	}
	stdin, p.stdin = open("0", syscall.O_WRONLY)
	stdout, p.stdout = read("1")
	if !terminal {
		stderr, p.stderr = read("2")
	}
	return stdin, stdout, stderr
}

// finish reads on as long as there is something to read: to the end, unless nobody
// ever opened the other end.
func (c *capture) finish() {
	const patience = 500 * time.Millisecond
	for before := -1; ; {
		select {
		case <-c.done:
			return
		case <-time.After(patience):
		}
		now := len(c.bytes())
		if now == before {
			return
		}
		before = now
	}
}

// closeIO closes the suite's ends of the FIFOs, after the last output.
func (p *process) closeIO() {
	p.Helper()
	p.must(p.stdin.Close())
	for _, c := range []*capture{p.stdout, p.stderr} {
		if c != nil {
			c.finish()
			p.must(c.file.Close())
			<-c.done
		}
	}
}

// container makes a container.
func (p *pod) container(args ...string) *process {
	p.Helper()
	return p.containerOf(Program{Args: args})
}

func (p *pod) containerOf(program Program) *process {
	p.Helper()
	c := &process{pod: p, id: p.newID()}
	_, err := p.task.Create(p.call(), c.request(program))
	p.must(err)
	return c
}

// request prepares everything for a container.
func (p *process) request(program Program) *taskapi.CreateTaskRequest {
	p.Helper()
	p.bundle = filepath.Join(p.dir, p.id[:12])
	p.must(os.Mkdir(p.bundle, 0o711))
	r := p.harness.Bundle(p, p.pod.id, p.id, p.bundle, program)
	r.Id, r.Bundle, r.Terminal = p.id, p.bundle, program.Terminal
	r.Stdin, r.Stdout, r.Stderr = p.fifos(program.Terminal)
	return r
}

// execOf adds a process to a container.
func (p *process) execOf(id string, program Program) *process {
	p.Helper()
	e := &process{pod: p.pod, id: p.id, exec: id}
	p.must(p.task.Exec(p.call(), e.execRequest(program)))
	return e
}

func (p *process) execRequest(program Program) *taskapi.ExecProcessRequest {
	p.Helper()
	spec, err := json.Marshal(p.harness.Exec(p, program))
	p.must(err)
	r := &taskapi.ExecProcessRequest{
		Id:       p.id,
		ExecId:   p.exec,
		Terminal: program.Terminal,
		Spec:     &anypb.Any{TypeUrl: processType, Value: spec},
	}
	r.Stdin, r.Stdout, r.Stderr = p.fifos(program.Terminal)
	return r
}

// refusedEarly sees that a program that cannot be started is refused before Start.
func (p *process) refusedEarly(program Program) {
	p.Helper()
	var err error
	if p.exec == "" {
		_, err = p.task.Create(p.call(), p.request(program))
	} else {
		err = p.task.Exec(p.call(), p.execRequest(program))
	}
	if err == nil {
		p.Error("a program that cannot be started was taken")
	}
	p.closeIO()
	_, err = p.task.State(p.call(), &taskapi.StateRequest{Id: p.id, ExecId: p.exec})
	p.fails(err, errdefs.IsNotFound, "State of what was refused")
}

func (p *process) start() {
	p.Helper()
	r, err := p.task.Start(p.call(), &taskapi.StartRequest{Id: p.id, ExecId: p.exec})
	p.must(err)
	if p.pid = r.GetPid(); p.pid == 0 {
		p.Errorf("process %.8s %s started with pid 0", p.id, p.exec)
	}
}

// says waits until the process has written something.
func (p *process) says(text string) {
	p.Helper()
	p.eventually("the process writes "+strconv.Quote(text), func() bool {
		return bytes.Contains(p.stdout.bytes(), []byte(text))
	})
}

func (p *process) state() *taskapi.StateResponse {
	p.Helper()
	r, err := p.task.State(p.call(), &taskapi.StateRequest{Id: p.id, ExecId: p.exec})
	p.must(err)
	return r
}

func (p *process) is(want taskapi.Status) {
	p.Helper()
	if got := p.state().GetStatus(); got != want {
		p.Errorf("process %.8s %s is %v, want %v", p.id, p.exec, got, want)
	}
}

func (p *process) signal(s syscall.Signal) error {
	return p.task.Kill(p.call(), &taskapi.KillRequest{Id: p.id, ExecId: p.exec, Signal: uint32(s)})
}

// exits waits for the exit and checks its status.
func (p *process) exits(want uint32) {
	p.Helper()
	r, err := p.task.Wait(p.call(), &taskapi.WaitRequest{Id: p.id, ExecId: p.exec})
	p.must(err)
	if r.GetExitStatus() != want {
		p.Errorf("process %.8s %s exited with %d, want %d", p.id, p.exec, r.GetExitStatus(), want)
	}
	if at := r.GetExitedAt(); at == nil || time.Since(at.AsTime()).Abs() > time.Minute {
		p.Errorf("process %.8s %s exited at %v", p.id, p.exec, at.AsTime())
	}
	s := p.state()
	if s.GetStatus() != taskapi.Status_STOPPED || s.GetExitStatus() != r.GetExitStatus() ||
		!s.GetExitedAt().AsTime().Equal(r.GetExitedAt().AsTime()) {
		p.Errorf("after Wait answered %v the state is %v", r, s)
	}
}

func (p *process) tryDelete() error {
	_, err := p.task.Delete(p.call(), &taskapi.DeleteRequest{Id: p.id, ExecId: p.exec})
	return err
}

// remove deletes a process that has ended and closes its stdio.
func (p *process) remove() {
	p.Helper()
	p.must(p.tryDelete())
	p.closeIO()
	if p.bundle != "" {
		p.must(os.RemoveAll(p.bundle))
	}
}

// end kills the process and removes it.
func (p *process) end() {
	p.Helper()
	p.must(p.signal(syscall.SIGKILL))
	p.exits(137)
	p.remove()
}
