package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CrictlArgs are what must precede the arguments of a crictl for this node.
func (n *Node) CrictlArgs() []string {
	return []string{
		n.tool("crictl"),
		"--config", n.path("crictl.yaml"),
		"--runtime-endpoint", "unix://" + n.Containerd(),
		"--image-endpoint", "unix://" + n.Containerd(),
		"--timeout", "60s",
	}
}

// CrictlCommand is a crictl for this node that has not been started.
func (n *Node) CrictlCommand(ctx context.Context, args ...string) *exec.Cmd {
	argv := append(n.CrictlArgs(), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = n.environ()
	return cmd
}

// CommandError is a failed program with all it said.
type CommandError struct {
	Args   []string
	Output string
	Err    error
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", strings.Join(e.Args, " "), e.Err, strings.TrimSpace(e.Output))
}

func (e *CommandError) Unwrap() error { return e.Err }

// Crictl runs crictl and returns its standard output.
func (n *Node) Crictl(ctx context.Context, args ...string) (string, error) {
	return output(n.CrictlCommand(ctx, args...), append([]string{"crictl"}, args...))
}

// Ctr runs ctr in CRI's namespace and returns its standard output.
func (n *Node) Ctr(ctx context.Context, args ...string) (string, error) {
	argv := append([]string{"--address", n.Containerd(), "--namespace", "k8s.io"}, args...)
	cmd := exec.CommandContext(ctx, n.tool("ctr"), argv...)
	cmd.Env = n.environ()
	return output(cmd, append([]string{"ctr"}, args...))
}

func output(cmd *exec.Cmd, name []string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), &CommandError{Args: name, Output: stderr.String() + stdout.String(), Err: err}
	}
	return stdout.String(), nil
}

// RunPod runs a pod of a handler and returns its id.
func (n *Node) RunPod(ctx context.Context, handler string, pod *runtime.PodSandboxConfig) (string, error) {
	file, err := n.writeJSON("pod", pod)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(file) }()
	out, err := n.Crictl(ctx, "runp", "--runtime", handler, file)
	return strings.TrimSpace(out), err
}

// CreateContainer makes a container in a pod and returns its id.
func (n *Node) CreateContainer(ctx context.Context, podID string, c *runtime.ContainerConfig, pod *runtime.PodSandboxConfig) (string, error) {
	podFile, err := n.writeJSON("pod", pod)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(podFile) }()
	file, err := n.writeJSON("container", c)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(file) }()
	out, err := n.Crictl(ctx, "create", "--no-pull", podID, file, podFile)
	return strings.TrimSpace(out), err
}

// StartContainer starts a container.
func (n *Node) StartContainer(ctx context.Context, id string) error {
	_, err := n.Crictl(ctx, "start", id)
	return err
}

func (n *Node) writeJSON(kind string, v any) (string, error) {
	f, err := os.CreateTemp(n.path("tmp"), kind+"-*.json")
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := crictlJSON(v)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	return f.Name(), err
}

// crictlJSON is the JSON that crictl 1.36 reads: there the values of environment
// variables are strings, in later versions of the API they are bytes.
func crictlJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	c, isContainer := v.(*runtime.ContainerConfig)
	if err != nil || !isContainer || len(c.GetEnvs()) == 0 {
		return b, err
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, err
	}
	var envs []map[string]string
	for _, e := range c.GetEnvs() {
		envs = append(envs, map[string]string{"key": e.GetKey(), "value": string(e.GetValue())})
	}
	fields["envs"] = envs
	return json.Marshal(fields)
}

// ContainerStatus is what `crictl inspect` shows, as far as it is used here.
type ContainerStatus struct {
	ID       string
	State    string // CONTAINER_RUNNING, CONTAINER_EXITED …
	ExitCode int32
	Reason   string
	Message  string
	LogPath  string
	Metadata struct {
		Name    string
		Attempt uint32
	}
	Resources map[string]any
	Mounts    []any
}

// PodStatus is what `crictl inspectp` shows, as far as it is used here.
type PodStatus struct {
	ID             string
	State          string // SANDBOX_READY or SANDBOX_NOTREADY
	RuntimeHandler string
	Network        struct{ IP string }
}

// Inspection is a status with the verbose information of the runtime.
type Inspection[Status any] struct {
	Status Status
	Info   map[string]any
}

// InspectContainer returns a container's status and verbose information.
func (n *Node) InspectContainer(ctx context.Context, id string) (*Inspection[ContainerStatus], error) {
	return inspect[ContainerStatus](ctx, n, "inspect", id)
}

// InspectPod returns a pod's status and verbose information.
func (n *Node) InspectPod(ctx context.Context, id string) (*Inspection[PodStatus], error) {
	return inspect[PodStatus](ctx, n, "inspectp", id)
}

func inspect[Status any](ctx context.Context, n *Node, command, id string) (*Inspection[Status], error) {
	out, err := n.Crictl(ctx, command, "-o", "json", id)
	if err != nil {
		return nil, err
	}
	var i Inspection[Status]
	if err := json.Unmarshal([]byte(out), &i); err != nil {
		return nil, fmt.Errorf("output of crictl %s: %w", command, err)
	}
	// What a sandboxer adds to the verbose status stands beside CRI's own "info".
	var all map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("output of crictl %s: %w", command, err)
	}
	for key, value := range all {
		if key == "status" || key == "info" {
			continue
		}
		if i.Info == nil {
			i.Info = map[string]any{}
		}
		i.Info[key] = value
	}
	return &i, nil
}
