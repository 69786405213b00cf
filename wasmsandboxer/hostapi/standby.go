package hostapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"
)

// Methods of the packets that are sent unasked.
const (
	methodHello   = "hello"
	methodStandby = "standby"
	methodReady   = "ready"
)

// Standby is sent instead of Hello, which follows when there is a pod, to a wasm-task
// that is started before its pod is known.
type Standby struct {
	// Engine is opened meanwhile; empty for none.
	Engine string `json:"engine,omitempty"`
	// Artifact, a path below the wasm-task's root, is a module of that engine that is run
	// meanwhile; empty for none.
	Artifact string `json:"artifact,omitempty"`
}

// First is the first packet that a wasm-task gets: either Hello or Standby is set.
type First struct {
	Hello   *Hello
	Standby *Standby
	// Tasks came with Hello and are the caller's.
	Tasks []*os.File
}

// SendHello tells a wasm-task which pod it is. One that was started before there was a pod
// gets the tasks files of the pod's cgroups of v1, if it has such, to move there.
func SendHello(c *net.UnixConn, h Hello, tasks ...*os.File) error {
	return sendUnasked(c, true, methodHello, h, tasks...)
}

// SendStandby tells a wasm-task that its pod is not known yet.
func SendStandby(c *net.UnixConn, s Standby) error { return sendUnasked(c, true, methodStandby, s) }

// SendReady tells the daemon that all is done that can be without a pod.
func SendReady(c *net.UnixConn) error { return sendUnasked(c, false, methodReady, struct{}{}) }

func sendUnasked(c *net.UnixConn, strict bool, method string, body any, files ...*os.File) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return newConn(c, strict).write(&packet{Method: method, Body: b}, files)
}

// AwaitReady waits for SendReady.
func AwaitReady(ctx context.Context, c *net.UnixConn) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // fails only when closed
	p, files, err := newConn(c, true).read()
	closeAll(files)
	if !stop() {
		return fmt.Errorf("wasm-task does not get ready: %w", ctx.Err())
	}
	if err == nil && p.Method != methodReady {
		err = protocolError("first packet is %q, not %q", clip(p.Method), methodReady)
	}
	return err
}

// ReceiveFirst is the wasm-task's; io.EOF when the daemon died before it came.
func ReceiveFirst(c *net.UnixConn) (f First, err error) {
	p, files, err := newConn(c, false).read()
	if err != nil {
		return f, err
	}
	if p.Method == methodHello {
		f.Hello, f.Tasks = &Hello{}, files
		return f, decode(p.Body, f.Hello, false)
	}
	closeAll(files)
	if p.Method == methodStandby {
		f.Standby = &Standby{}
		return f, decode(p.Body, f.Standby, false)
	}
	return f, protocolError("first packet is %q, not %q", clip(p.Method), methodHello)
}

// ReceiveHello follows a Standby; io.EOF when the daemon ended before there was a pod. The
// files are the caller's.
func ReceiveHello(c *net.UnixConn) (Hello, []*os.File, error) {
	f, err := ReceiveFirst(c)
	if err == nil && f.Hello == nil {
		err = protocolError("packet is no %q", methodHello)
	}
	if err != nil {
		closeAll(f.Tasks)
		return Hello{}, nil, err
	}
	return *f.Hello, f.Tasks, nil
}
