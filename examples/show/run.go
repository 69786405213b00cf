package show

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// Handler is the runtime handler of wasm pods.
const Handler = "blazar-wasm"

const (
	exampleTimeout = 90 * time.Second
	pollEvery      = 10 * time.Millisecond
)

// Running is a started container.
type Running struct {
	Node *node.Node
	// ID of the container, IP of its pod.
	ID, IP string
	log    string
}

// Run measures the cold starts of an example's pod and then runs it with crictl. The
// error says that it could not be run; what differs from the expected is in the
// results. volumes is an empty folder, for the volumes of the pod.
func Run(ctx context.Context, n *node.Node, e *Example, volumes string) (results []Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, exampleTimeout)
	defer cancel()
	var starts [2][]time.Duration
	for i := range starts {
		if starts[i], err = e.coldStart(ctx, n, filepath.Join(volumes, fmt.Sprint("start", i))); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	pod := e.pod(n)
	podID, err := n.RunPod(ctx, e.handler(), pod)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	defer func() {
		_, rmErr := n.Crictl(context.WithoutCancel(ctx), "rmp", "-f", podID)
		err = errors.Join(err, rmErr)
	}()
	i, err := n.InspectPod(ctx, podID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	started := make([]*Running, 0, len(e.Containers))
	results = make([]Result, len(e.Containers))
	for k := range e.Containers {
		c := &e.Containers[k]
		r := &Running{Node: n, IP: i.Status.Network.IP, log: filepath.Join(pod.LogDirectory, c.name()+".log")}
		config := c.config(volumeIn(filepath.Join(volumes, "shown")))
		if r.ID, err = n.CreateContainer(ctx, podID, config, pod); err == nil {
			err = n.StartContainer(ctx, r.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: container %s: %w", e.Name, c.name(), err)
		}
		started = append(started, r)
		results[k] = Result{Example: e.Name, Container: c.name()}
		if results[k].Did, err = c.act(ctx, r); err != nil {
			return nil, fmt.Errorf("%s: container %s: %w\n%s", e.Name, c.name(), err, r.logs(ctx))
		}
	}
	for k := range e.Containers {
		results[k].FirstStart, results[k].ColdStart, results[k].Slow = starts[0][k], starts[1][k], e.Slow
		if err := e.Containers[k].finish(ctx, started[k], &results[k]); err != nil {
			return nil, fmt.Errorf("%s: container %s: %w\n%s", e.Name, e.Containers[k].name(), err, started[k].logs(ctx))
		}
	}
	return results, nil
}

func (e *Example) pod(n *node.Node) *runtime.PodSandboxConfig {
	pod := n.Pod(e.Name)
	for key, value := range e.Annotations {
		pod.Annotations[key] = value
	}
	return pod
}

// act waits until the container is ready and does what the example does with it.
func (c *Container) act(ctx context.Context, r *Running) (string, error) {
	if c.Do == nil && c.Ready == "" {
		return "", nil
	}
	if err := r.says(ctx, c.Ready); err != nil {
		return "", err
	}
	if c.Do == nil {
		return "", nil
	}
	return c.Do(ctx, r)
}

// finish stops the container or waits for its end, and compares.
func (c *Container) finish(ctx context.Context, r *Running, result *Result) error {
	if c.Stop != nil {
		if _, err := r.Node.Crictl(ctx, "stop", "--timeout", fmt.Sprint(c.Stop.Grace), r.ID); err != nil {
			return err
		}
	}
	for {
		i, err := r.Node.InspectContainer(ctx, r.ID)
		if err != nil {
			return err
		}
		if i.Status.State == "CONTAINER_EXITED" {
			result.ExitCode, result.Reason, result.Message = i.Status.ExitCode, i.Status.Reason, i.Status.Message
			break
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("it does not end: %w", err)
		}
	}
	result.Log = r.logs(ctx)
	result.Wrong = c.compare(result)
	return nil
}

// compare says what differs from what was expected.
func (c *Container) compare(r *Result) string {
	var wrong []string
	if r.ExitCode != c.Code {
		wrong = append(wrong, fmt.Sprintf("exit code %d instead of %d", r.ExitCode, c.Code))
	}
	if c.Reason != "" && r.Reason != c.Reason {
		wrong = append(wrong, fmt.Sprintf("reason %q instead of %q", r.Reason, c.Reason))
	}
	for _, s := range c.Says {
		if !strings.Contains(r.Log+r.Did, s) {
			wrong = append(wrong, fmt.Sprintf("the log does not say %q", s))
		}
	}
	return strings.Join(wrong, ", ")
}

// says waits until the log contains text, which may be empty for any byte.
func (r *Running) says(ctx context.Context, text string) error {
	for {
		b, err := os.ReadFile(r.log)
		if err == nil && len(b) > 0 && strings.Contains(string(b), text) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("it does not say %q: %w", text, err)
		}
	}
}

// logs is what crictl shows of both streams.
func (r *Running) logs(ctx context.Context) string {
	out, err := r.Node.CrictlCommand(ctx, "logs", r.ID).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s\n(crictl logs: %v)", out, err)
	}
	return string(out)
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollEvery):
		return nil
	}
}
