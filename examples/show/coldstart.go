package show

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// firstBytePoll is how exactly the first byte in the log is seen.
const firstBytePoll = 200 * time.Microsecond

// coldStart runs the pod and its containers by calls to CRI, without the starts of a
// crictl in between, and measures how long each takes: the first from the start of the
// pod, the others from their own.
func (e *Example) coldStart(ctx context.Context, n *node.Node, volumes string) (took []time.Duration, err error) {
	conn, err := n.CRI()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	cri := runtime.NewRuntimeServiceClient(conn)
	// The connection is not part of it.
	if _, err := cri.Version(ctx, &runtime.VersionRequest{}); err != nil {
		return nil, err
	}
	pod := e.pod(n)

	start := time.Now()
	p, err := cri.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod, RuntimeHandler: e.handler()})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exampleTimeout)
		defer cancel()
		_, stopErr := cri.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.GetPodSandboxId()})
		_, removeErr := cri.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.GetPodSandboxId()})
		err = errors.Join(err, stopErr, removeErr)
	}()
	for i := range e.Containers {
		if i > 0 {
			start = time.Now()
		}
		if err := e.startContainer(ctx, cri, p.GetPodSandboxId(), pod, e.Containers[i].config(volumeIn(volumes))); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// startContainer returns when the container has said something, or has been started if
// it has work to do before that.
func (e *Example) startContainer(ctx context.Context, cri runtime.RuntimeServiceClient, podID string, pod *runtime.PodSandboxConfig, c *runtime.ContainerConfig) error {
	k, err := cri.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: podID, Config: c, SandboxConfig: pod})
	if err != nil {
		return err
	}
	if _, err := cri.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: k.GetContainerId()}); err != nil || e.Slow {
		return err
	}
	log := filepath.Join(pod.LogDirectory, c.LogPath)
	for {
		if info, err := os.Stat(log); err == nil && info.Size() > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no output: %w", ctx.Err())
		case <-time.After(firstBytePoll):
		}
	}
}
