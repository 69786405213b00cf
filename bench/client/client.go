// Package client drives pods of a node through CRI's own messages, for what is
// measured in fractions of a millisecond.
package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// Namespace is that of CRI in containerd.
const Namespace = "k8s.io"

// Client talks to a node. Safe for concurrent use; close it after the last pod.
type Client struct {
	// Node is the node that the client was made for.
	Node *node.Node
	// Runtime is CRI's service.
	Runtime runtime.RuntimeServiceClient

	conn *grpc.ClientConn
}

// New connects to the node's containerd.
func New(n *node.Node) (*Client, error) {
	conn, err := n.CRI()
	if err != nil {
		return nil, err
	}
	return &Client{Node: n, Runtime: runtime.NewRuntimeServiceClient(conn), conn: conn}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// PodOptions say what pod to run.
type PodOptions struct {
	// Name need not be unique; Handler is the runtime handler, empty for runc.
	Name, Handler string
	// HostNetwork puts it into the host's network; otherwise CNI makes it one.
	HostNetwork bool
	Annotations map[string]string
}

// Pod is a running pod.
type Pod struct {
	// ID is CRI's, Config what it was run with.
	ID     string
	Config *runtime.PodSandboxConfig
	// IP is its address, empty in the host's network.
	IP string

	client *Client
}

// RunPod runs a pod. Remove it.
func (c *Client) RunPod(ctx context.Context, o PodOptions) (*Pod, error) {
	config := c.Node.Pod(o.Name)
	config.Metadata.Name = config.Metadata.Uid // unique within the process
	config.Annotations = o.Annotations
	if o.HostNetwork {
		node.HostNetwork(config)
	}
	// As a kubelet does, before it calls CRI.
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return nil, err
	}
	r, err := c.Runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: config, RuntimeHandler: o.Handler})
	if err != nil {
		return nil, fmt.Errorf("pod %s, handler %q: %w", o.Name, o.Handler, err)
	}
	p := &Pod{ID: r.PodSandboxId, Config: config, client: c}
	if o.HostNetwork {
		return p, nil
	}
	s, err := c.Runtime.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pod %s: %w", o.Name, err), p.Remove(context.WithoutCancel(ctx)))
	}
	p.IP = s.GetStatus().GetNetwork().GetIp()
	return p, nil
}

// CreateContainer makes a container in the pod.
func (p *Pod) CreateContainer(ctx context.Context, config *runtime.ContainerConfig) (string, error) {
	r, err := p.client.Runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: p.ID, Config: config, SandboxConfig: p.Config})
	if err != nil {
		return "", fmt.Errorf("container %s: %w", config.GetMetadata().GetName(), err)
	}
	return r.ContainerId, nil
}

// RemoveContainer removes a container, whatever its state.
func (p *Pod) RemoveContainer(ctx context.Context, id string) error {
	_, err := p.client.Runtime.RemoveContainer(ctx, &runtime.RemoveContainerRequest{ContainerId: id})
	return err
}

// RunContainer makes and starts a container.
func (p *Pod) RunContainer(ctx context.Context, config *runtime.ContainerConfig) (string, error) {
	id, err := p.CreateContainer(ctx, config)
	if err != nil {
		return "", err
	}
	if _, err := p.client.Runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: id}); err != nil {
		return "", fmt.Errorf("start container %s: %w", config.GetMetadata().GetName(), err)
	}
	return id, nil
}

// State is a container's state.
func (p *Pod) State(ctx context.Context, id string) (*runtime.ContainerStatus, error) {
	r, err := p.client.Runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return nil, err
	}
	return r.GetStatus(), nil
}

// Sandbox is what blazar serve says of the pod, which is of that kind: the address of
// its Task API and its process. containerd, when it is asked, leaves the address out.
func (p *Pod) Sandbox(ctx context.Context, kind string) (address string, pid int, err error) {
	socket := filepath.Join(p.client.Node.Dir, "run", "blazar", kind+".sock")
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = conn.Close() }() // what was asked has been answered
	r, err := sandboxapi.NewControllerClient(conn).Status(namespaces.WithNamespace(ctx, Namespace),
		&sandboxapi.ControllerStatusRequest{Sandboxer: kind, SandboxID: p.ID})
	if err != nil {
		return "", 0, fmt.Errorf("status of sandbox %s: %w", p.ID, err)
	}
	return r.GetAddress(), int(r.GetPid()), nil
}

// removeTimeout bounds the end of one pod.
const removeTimeout = time.Minute

// Remove stops and removes the pod with all its containers, also when ctx has ended.
func (p *Pod) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if _, err := p.client.Runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.ID}); err != nil {
		return fmt.Errorf("stop pod %s: %w", p.ID, err)
	}
	_, err := p.client.Runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.ID})
	return err
}
