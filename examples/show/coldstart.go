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

// coldStart runs the pod and its first container by calls to CRI, without the three
// starts of a crictl in between, and measures the time to the first byte in the log.
func (e *Example) coldStart(ctx context.Context, n *node.Node, volumes string) (_ time.Duration, err error) {
	conn, err := n.CRI()
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	cri := runtime.NewRuntimeServiceClient(conn)
	// The connection is not part of it.
	if _, err := cri.Version(ctx, &runtime.VersionRequest{}); err != nil {
		return 0, err
	}
	pod := e.pod(n)
	c := e.Containers[0]
	config := c.config(volumeIn(volumes))

	start := time.Now()
	p, err := cri.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod, RuntimeHandler: Handler})
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exampleTimeout)
		defer cancel()
		_, stopErr := cri.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.GetPodSandboxId()})
		_, removeErr := cri.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.GetPodSandboxId()})
		err = errors.Join(err, stopErr, removeErr)
	}()
	k, err := cri.CreateContainer(ctx, &runtime.CreateContainerRequest{
		PodSandboxId: p.GetPodSandboxId(), Config: config, SandboxConfig: pod,
	})
	if err != nil {
		return 0, err
	}
	if _, err := cri.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: k.GetContainerId()}); err != nil {
		return 0, err
	}
	log := filepath.Join(pod.LogDirectory, config.LogPath)
	for {
		if info, err := os.Stat(log); err == nil && info.Size() > 0 {
			return time.Since(start), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no output: %w", ctx.Err())
		case <-time.After(firstBytePoll):
		}
	}
}
