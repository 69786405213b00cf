package node

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	containerdName = "containerd"
	serveName      = "serve"
	taskdName      = "taskd"
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

// RestartContainerd ends containerd with a signal and starts it again.
func (n *Node) RestartContainerd(ctx context.Context, signal syscall.Signal) error {
	n.end(containerdName, signal, 20*time.Second)
	return n.StartContainerd(ctx)
}

// KillContainerd kills containerd as a crash would.
func (n *Node) KillContainerd() { n.end(containerdName, syscall.SIGKILL, 0) }

// StartContainerd starts containerd after KillContainerd.
func (n *Node) StartContainerd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.startContainerd(ctx); err != nil {
		return fmt.Errorf("restart: %w%s", err, n.logTails())
	}
	return nil
}

// ContainerdPid is containerd's pid, 0 while it does not run.
func (n *Node) ContainerdPid() int { return n.pid(containerdName) }

// Log returns the last lines of a daemon's log: "containerd", "serve" or "taskd".
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
	for _, name := range []string{containerdName, serveName, taskdName} {
		if tail := n.Log(name, 15); tail != "" {
			fmt.Fprintf(&b, "\n--- end of %s ---\n%s", n.path("logs", name+".log"), tail)
		}
	}
	return b.String()
}
