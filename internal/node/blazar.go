package node

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// startBlazar starts Blazar's daemons beside one another.
func (n *Node) startBlazar(ctx context.Context) error {
	if n.serves(Runc) {
		if err := n.spawnTaskd(); err != nil {
			return err
		}
	}
	if err := n.startServe(ctx); err != nil {
		return err
	}
	if n.serves(Runc) {
		return n.taskdReady(ctx)
	}
	return nil
}

// blazarArgs is a command of blazar with the flags that both daemons have.
func (n *Node) blazarArgs(command string) []string {
	return []string{n.bin("blazar"), command,
		"--config", n.path("blazar.toml"), // not the machine's
		"--state", n.path("run", "blazar"),
		"--root", n.path("blazar"),
		"--containerd", n.Containerd(),
		"--containerd-state", n.path("state"),
	}
}

// startServe starts blazar serve and returns when every kind answers.
func (n *Node) startServe(ctx context.Context) error {
	argv := n.blazarArgs("serve")
	for _, kind := range n.state.Config.Kinds {
		argv = append(argv, "--kinds", kind)
	}
	if err := n.spawn(serveName, append(argv, n.state.Config.ServeArgs...)...); err != nil {
		return err
	}
	return n.ready(ctx, serveName, func(ctx context.Context) error {
		return n.kindsAnswer(ctx, n.kindSocket)
	})
}

// kindsAnswer asks for every kind at the socket that is said for it.
func (n *Node) kindsAnswer(ctx context.Context, socket func(kind string) string) error {
	for _, kind := range n.state.Config.Kinds {
		if err := answers(ctx, socket(kind), kind); err != nil {
			return fmt.Errorf("kind %s: %w", kind, err)
		}
	}
	return nil
}

// answers asks a Controller service, blazar serve's own or containerd's, which hands
// the question on.
func answers(ctx context.Context, socket, kind string) error {
	conn, err := dial(socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = sandbox.NewControllerClient(conn).Status(namespaces.WithNamespace(ctx, "k8s.io"),
		&sandbox.ControllerStatusRequest{Sandboxer: kind, SandboxID: "none"})
	if status.Code(err) == codes.NotFound {
		return nil // there is no such sandbox
	}
	return err
}

// Endpoint asks a kind where the Task API of a pod is, and of which version: what
// containerd's clients pass on when they make a task, and containerd's own service leaves
// out of its answers.
func (n *Node) Endpoint(ctx context.Context, kind, podID string) (address string, version uint32, err error) {
	conn, err := dial(n.kindSocket(kind))
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = conn.Close() }()
	s, err := sandbox.NewControllerClient(conn).Status(namespaces.WithNamespace(ctx, "k8s.io"),
		&sandbox.ControllerStatusRequest{Sandboxer: kind, SandboxID: podID})
	return s.GetAddress(), s.GetVersion(), err
}

// RestartServe kills blazar serve as a crash would, and starts it again.
func (n *Node) RestartServe(ctx context.Context) error {
	n.KillServe()
	return n.StartServe(ctx)
}

// KillServe kills blazar serve as a crash would.
func (n *Node) KillServe() { n.end(serveName, syscall.SIGKILL, 0) }

// StartServe starts blazar serve after KillServe.
func (n *Node) StartServe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.startServe(ctx); err != nil {
		return fmt.Errorf("restart: %w%s", err, n.logTails())
	}
	// containerd's client waits before it connects again, a second or so.
	err := n.ready(ctx, serveName, func(ctx context.Context) error {
		return n.kindsAnswer(ctx, func(string) string { return n.Containerd() })
	})
	if err != nil {
		return fmt.Errorf("containerd does not see blazar serve again: %w", err)
	}
	return nil
}

// spawnTaskd starts blazar taskd.
func (n *Node) spawnTaskd() error {
	return n.spawn(taskdName, append(n.blazarArgs("taskd"), n.state.Config.TaskdArgs...)...)
}

// taskdSocket is where blazar taskd serves the Task API.
func (n *Node) taskdSocket() string { return n.path("run", "blazar", "taskd.sock") }

// taskdReady returns when blazar taskd takes connections.
func (n *Node) taskdReady(ctx context.Context) error {
	return n.ready(ctx, taskdName, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", n.taskdSocket())
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// RestartTaskd kills blazar taskd as a crash would, and starts it again.
func (n *Node) RestartTaskd(ctx context.Context) error {
	n.KillTaskd()
	return n.StartTaskd(ctx)
}

// KillTaskd kills blazar taskd as a crash would.
func (n *Node) KillTaskd() { n.end(taskdName, syscall.SIGKILL, 0) }

// StartTaskd starts blazar taskd after KillTaskd.
func (n *Node) StartTaskd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := n.spawnTaskd()
	if err == nil {
		err = n.taskdReady(ctx)
	}
	if err != nil {
		return fmt.Errorf("restart: %w%s", err, n.logTails())
	}
	return nil
}

// ServePid is the pid of blazar serve, 0 while it does not run.
func (n *Node) ServePid() int { return n.pid(serveName) }

// TaskdPid is the pid of blazar taskd, 0 while it does not run.
func (n *Node) TaskdPid() int { return n.pid(taskdName) }
