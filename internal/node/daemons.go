package node

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	containerdName = "containerd"
	serveName      = "serve"
	// pollEvery is how often a daemon that starts is asked whether it is ready.
	pollEvery = 20 * time.Millisecond
)

// startContainerd starts containerd and returns when CRI says that runtime and
// network are ready.
func (n *Node) startContainerd(ctx context.Context) error {
	if err := n.spawn(containerdName, n.tool("containerd"), "--config", n.path("containerd.toml")); err != nil {
		return err
	}
	return n.ready(ctx, containerdName, func(ctx context.Context) error {
		conn, err := dial(n.Containerd())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		r, err := runtime.NewRuntimeServiceClient(conn).Status(ctx, &runtime.StatusRequest{})
		if err != nil {
			return err
		}
		for _, c := range r.GetStatus().GetConditions() {
			required := c.GetType() == runtime.RuntimeReady || c.GetType() == runtime.NetworkReady
			if required && !c.GetStatus() {
				return fmt.Errorf("%s is false: %s", c.GetType(), c.GetMessage())
			}
		}
		return nil
	})
}

// startServe starts blazar serve and returns when every kind answers.
func (n *Node) startServe(ctx context.Context) error {
	argv := append([]string{n.bin("blazar"), "serve",
		"--config", n.path("blazar.toml"), // not the machine's
		"--state", n.path("run", "blazar"),
		"--root", n.path("blazar"),
		"--containerd", n.Containerd(),
		"--containerd-state", n.path("state"),
	}, n.state.Config.ServeArgs...)
	if err := n.spawn(serveName, argv...); err != nil {
		return err
	}
	return n.ready(ctx, serveName, func(ctx context.Context) error {
		return answers(ctx, n.kindSocket("wasm"))
	})
}

// answers asks a Controller service, blazar serve's own or containerd's, which hands
// the question on.
func answers(ctx context.Context, socket string) error {
	conn, err := dial(socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = sandbox.NewControllerClient(conn).Status(namespaces.WithNamespace(ctx, "k8s.io"),
		&sandbox.ControllerStatusRequest{Sandboxer: "wasm", SandboxID: "none"})
	if status.Code(err) == codes.NotFound {
		return nil // there is no such sandbox
	}
	return err
}

// kindSocket is the socket on which blazar serve serves a kind.
func (n *Node) kindSocket(kind string) string { return n.path("run", "blazar", kind+".sock") }

// ready calls probe until it succeeds, the process has died, or ctx ends.
func (n *Node) ready(ctx context.Context, name string, probe func(context.Context) error) error {
	p := n.processes[name]
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := probe(once)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at once: %s", name, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready: %w", name, err)
		case <-time.After(pollEvery):
		}
	}
}

func dial(socket string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
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
	err := n.ready(ctx, serveName, func(ctx context.Context) error { return answers(ctx, n.Containerd()) })
	if err != nil {
		return fmt.Errorf("containerd does not see blazar serve again: %w", err)
	}
	return nil
}

// RestartContainerd ends containerd with a signal and starts it again.
func (n *Node) RestartContainerd(ctx context.Context, signal syscall.Signal) error {
	n.end(containerdName, signal, 20*time.Second)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.startContainerd(ctx); err != nil {
		return fmt.Errorf("restart: %w%s", err, n.logTails())
	}
	return nil
}

// ServePid is the pid of blazar serve, 0 while it does not run.
func (n *Node) ServePid() int { return n.pid(serveName) }

// ContainerdPid is containerd's pid, 0 while it does not run.
func (n *Node) ContainerdPid() int { return n.pid(containerdName) }

// Log returns the last lines of a daemon's log: "containerd" or "serve".
func (n *Node) Log(name string, lines int) string {
	b, err := os.ReadFile(n.path("logs", name+".log"))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// logTails is what a person wants to see when the node does not start.
func (n *Node) logTails() string {
	var b strings.Builder
	for _, name := range []string{containerdName, serveName} {
		if tail := n.Log(name, 15); tail != "" {
			fmt.Fprintf(&b, "\n--- end of %s ---\n%s", n.path("logs", name+".log"), tail)
		}
	}
	return b.String()
}
