// Package ctl is how the daemon talks to the task server beside the Task API: over
// <state>/taskd.ctl, a unix socket that is root's alone. A request is a line of JSON,
// and so is its answer. After Connect the connection itself becomes one of the Task
// API (ttrpc), for one container.
package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"blazar/sandbox/task"
)

// Operations.
const (
	KillPod = "kill_pod"
	Create  = "create"
	Connect = "connect"
	Remove  = "remove"
	Kill    = "kill"
	Update  = "update"
	Ready   = "ready"
)

// MaxLine bounds a request and an answer, in bytes.
const MaxLine = 1 << 20

// Request is what a client sends.
type Request struct {
	Op string `json:"op"`
	// Pod of KillPod: a sandbox id.
	Pod string `json:"pod,omitempty"`
	// ID of Connect, Remove, Kill and Update: a container id.
	ID        string                `json:"id,omitempty"`
	Create    *CreateRequest        `json:"create,omitempty"`
	Resources *specs.LinuxResources `json:"resources,omitempty"`
}

// CreateRequest asks for a container that another task server presents to containerd.
type CreateRequest struct {
	ID        string       `json:"id"`
	Namespace string       `json:"namespace"`
	Bundle    string       `json:"bundle"`
	Rootfs    []task.Mount `json:"rootfs"`
	Stdio     task.Stdio   `json:"stdio"`
	// FIFOs are the directories in which the streams of added processes may be.
	FIFOs []string `json:"fifos"`
}

// Answer is what the task server sends.
type Answer struct {
	Code  codes.Code `json:"code,omitempty"`
	Error string     `json:"error,omitempty"`
}

// AnswerOf makes the answer that says err.
func AnswerOf(err error) Answer {
	if err == nil {
		return Answer{}
	}
	s, _ := status.FromError(errgrpc.ToGRPC(err))
	return Answer{Code: s.Code(), Error: s.Message()}
}

// Err is the error in an answer, of a kind of errdefs.
func (a Answer) Err() error {
	if a.Code == codes.OK {
		return nil
	}
	return errgrpc.ToNative(status.Error(a.Code, a.Error))
}

// Socket is the task server's in a state directory.
func Socket(state string) string { return filepath.Join(state, "taskd.ctl") }

// Client asks the task server; every call makes a connection. Safe for concurrent use.
type Client struct {
	// Path of the socket.
	Path string
}

// Timeout of a call whose context has no deadline.
const Timeout = time.Minute

// KillPod ends and deletes all containers of a pod; one without any is no error. errdefs.ErrUnavailable if there is
// no task server.
func (c Client) KillPod(ctx context.Context, pod string) error {
	return c.once(ctx, Request{Op: KillPod, Pod: pod})
}

// Create makes a container, to which Connect gives access. Its events are not told to
// containerd, but for those of memory running out.
func (c Client) Create(ctx context.Context, q CreateRequest) error {
	return c.once(ctx, Request{Op: Create, Create: &q})
}

// Ready says whether the task server answers; errdefs.ErrUnavailable if not.
func (c Client) Ready(ctx context.Context) error { return c.once(ctx, Request{Op: Ready}) }

// Kill kills every process of a container; its exit is told as any other. One that is
// not there, or has ended, is no error.
func (c Client) Kill(ctx context.Context, id string) error {
	return c.once(ctx, Request{Op: Kill, ID: id})
}

// Update changes a container's limits.
func (c Client) Update(ctx context.Context, id string, r *specs.LinuxResources) error {
	return c.once(ctx, Request{Op: Update, ID: id, Resources: r})
}

// Remove ends and deletes a container; one that is not there is no error.
func (c Client) Remove(ctx context.Context, id string) error {
	return c.once(ctx, Request{Op: Remove, ID: id})
}

// Connect makes a connection on which the Task API answers about one container made
// with Create: it may be started, added to, signalled and measured, as long as somebody
// has the connection; the rest is for this Client. What is added runs as the container's own
// process does; arguments and terminal alone are the caller's to say.
func (c Client) Connect(ctx context.Context, id string) (*net.UnixConn, error) {
	conn, err := c.ask(ctx, Request{Op: Connect, ID: id})
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c Client) once(ctx context.Context, q Request) error {
	conn, err := c.ask(ctx, q)
	if err != nil {
		return err
	}
	return conn.Close()
}

// ask makes a connection and a request; the answer was good if there is no error.
func (c Client) ask(ctx context.Context, q Request) (_ *net.UnixConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	some, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Path)
	if err != nil {
		return nil, fmt.Errorf("task server: %w: start it: systemctl start blazar-taskd: %w", err, errdefs.ErrUnavailable)
	}
	conn := some.(*net.UnixConn) // unix above
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	b, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("task server: %w: %w", err, errdefs.ErrUnavailable)
	}
	line, err := ReadLine(conn)
	if err != nil {
		return nil, fmt.Errorf("task server: %w: %w", err, errdefs.ErrUnavailable)
	}
	var a Answer
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, fmt.Errorf("task server: %w: %w", err, errdefs.ErrInternal)
	}
	return conn, a.Err()
}

// ReadLine reads a line and nothing behind it, which must not have come yet.
func ReadLine(conn net.Conn) ([]byte, error) {
	r := bufio.NewReader(&limited{conn: conn, left: MaxLine})
	line, err := r.ReadBytes('\n')
	if err == nil && r.Buffered() > 0 {
		err = fmt.Errorf("%d bytes behind the line: %w", r.Buffered(), errdefs.ErrInvalidArgument)
	}
	return line, err
}

// limited reads so many bytes at most.
type limited struct {
	conn net.Conn
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("a line of more than %d bytes: %w", MaxLine, errdefs.ErrInvalidArgument)
	}
	n, err := l.conn.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
