package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/ttrpc"

	"blazar/internal/proc"
	"blazar/sandbox/task/taskapi"
)

const (
	ready    = "SANDBOX_READY"
	notReady = "SANDBOX_NOTREADY"
)

// pod is a sandbox that was started.
type pod struct {
	*node
	id      string
	started *api.ControllerStartResponse
	task    *taskapi.Client
	conn    *taskConn
	// process is the pod's, as it was when it started.
	process proc.Ref
}

// taskConn is a connection to a Task API.
type taskConn struct {
	client *ttrpc.Client
	ended  chan struct{} // closed when the other side has gone
}

func (c *taskConn) close() { _ = c.client.Close() } // nothing is to be written

// dial connects to the address that Start returned, as containerd does.
func (n *node) dial(address string) *taskConn {
	n.Helper()
	path, ok := strings.CutPrefix(address, "ttrpc+unix://")
	if !ok {
		n.Fatalf("address %q: the suite knows ttrpc+unix only", address)
	}
	conn, err := net.Dial("unix", path)
	n.must(err)
	c := &taskConn{ended: make(chan struct{})}
	c.client = ttrpc.NewClient(conn, ttrpc.WithOnClose(func() { close(c.ended) }))
	n.conns = append(n.conns, c)
	return c
}

func (n *node) create(id string) {
	n.Helper()
	_, err := n.api.Create(n.call(), n.createRequest(id))
	n.must(err)
}

func (n *node) start(id string) *pod {
	n.Helper()
	started, err := n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: id})
	n.must(err)
	p := &pod{node: n, id: id, started: started}
	p.process, err = proc.RefOf(int(started.GetPid()))
	n.must(err)
	p.conn = n.dial(started.GetAddress())
	p.task = taskapi.NewClient(p.conn.client)
	return p
}

// pod makes and starts a sandbox.
func (n *node) pod() *pod {
	n.Helper()
	id := n.newID()
	n.create(id)
	return n.start(id)
}

func (n *node) status(id string) *api.ControllerStatusResponse {
	n.Helper()
	r, err := n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: id})
	n.must(err)
	return r
}

func (n *node) state(id, want string) {
	n.Helper()
	if got := n.status(id).GetState(); got != want {
		n.Errorf("state of %.8s: %s, want %s", id, got, want)
	}
}

func (n *node) stop(id string) {
	n.Helper()
	_, err := n.api.Stop(n.call(), &api.ControllerStopRequest{SandboxID: id})
	n.must(err)
}

func (n *node) shutdown(id string) {
	n.Helper()
	_, err := n.api.Shutdown(n.call(), &api.ControllerShutdownRequest{SandboxID: id})
	n.must(err)
}

// waited is the answer of Controller.Wait.
type waited struct {
	response *api.ControllerWaitResponse
	err      error
}

// wait asks for the exit of a pod, now.
func (n *node) wait(id string) <-chan waited {
	answer := make(chan waited, 1)
	ctx, cancel := context.WithTimeout(n.ctx, callTimeout)
	client := n.api
	go func() {
		defer cancel()
		r, err := client.Wait(ctx, &api.ControllerWaitRequest{SandboxID: id})
		answer <- waited{r, err}
	}()
	return answer
}

// waitEnd asks for the exit of a pod that has ended.
func (n *node) waitEnd(id string) *api.ControllerWaitResponse {
	n.Helper()
	w := <-n.wait(id)
	n.must(w.err)
	if at := w.response.GetExitedAt(); at == nil || time.Since(at.AsTime()).Abs() > time.Minute {
		n.Errorf("pod %.8s exited at %v", id, at.AsTime())
	}
	return w.response
}

// kill kills the pod's process, as an out-of-memory killer would.
func (p *pod) kill() {
	p.Helper()
	h, err := proc.Open(p.process)
	p.must(err)
	p.must(h.Signal(syscall.SIGKILL))
	p.must(h.Close())
}

// running says whether a process is the one it was, and has not ended.
func running(ref proc.Ref) bool {
	now, err := proc.RefOf(ref.Pid)
	if err != nil || now != ref {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", ref.Pid))
	if err != nil {
		return false
	}
	// One that has ended and was not reaped is a zombie: the third field.
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(state) > 0 && state[0] != 'Z' && state[0] != 'X'
}
