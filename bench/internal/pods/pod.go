// Package pods runs the pods of contestants through CRI and takes the time.
package pods

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/bench/internal/lab"
	"blazar/internal/node"
)

// perPod bounds one pod's life.
const perPod = 2 * time.Minute

// Sample is how long the parts of a pod's life took.
type Sample struct {
	RunPodSandbox, CreateContainer, StartContainer time.Duration
	// FirstByte starts with the call of StartContainer and ends when the first byte of
	// the container's output is in its log; ColdStart starts with the call of
	// RunPodSandbox.
	FirstByte, ColdStart time.Duration
	// Teardown is StopPodSandbox and RemovePodSandbox, after the container's end.
	Teardown time.Duration
	// Life starts with the first call and ends with the answer of the last.
	Life time.Duration
}

// Runner runs pods on a node. Safe for concurrent use; Close it after the last pod.
type Runner struct {
	node    *node.Node
	conn    *grpc.ClientConn
	runtime runtime.RuntimeServiceClient
	count   atomic.Uint64
	// Bridge connects the pods to the node's bridge; otherwise they are in the host's
	// network. Set before the first pod of a round.
	Bridge bool
}

// NewRunner connects to the node's containerd.
func NewRunner(n *node.Node) (*Runner, error) {
	conn, err := n.CRI()
	if err != nil {
		return nil, err
	}
	return &Runner{node: n, conn: conn, runtime: runtime.NewRuntimeServiceClient(conn)}, nil
}

// Close ends the connection.
func (r *Runner) Close() error { return r.conn.Close() }

// One runs a pod of the contestant until its container has ended well and removes it.
// Whatever goes wrong, the pod is removed.
func (r *Runner) One(ctx context.Context, e lab.Entrant) (s Sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, perPod)
	defer cancel()
	pod := r.node.Pod(fmt.Sprintf("bench-%d", r.count.Add(1)))
	maps.Copy(pod.Annotations, e.Annotations)
	if !r.Bridge {
		node.HostNetwork(pod)
	}
	container := node.Container("hello", e.Image)
	// As a kubelet does, before it calls CRI.
	if err := os.MkdirAll(pod.LogDirectory, 0o755); err != nil {
		return s, err
	}
	log, err := watchLog(pod.LogDirectory, container.LogPath)
	if err != nil {
		return s, err
	}
	defer func() { _ = log.close() }() // only read from

	begin := time.Now()
	sandbox, err := r.runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod, RuntimeHandler: e.Handler})
	if err != nil {
		return s, err
	}
	s.RunPodSandbox = time.Since(begin)
	removed := false
	defer func() {
		if !removed {
			err = errors.Join(err, r.remove(context.WithoutCancel(ctx), sandbox.PodSandboxId))
		}
	}()
	if err := r.container(ctx, sandbox.PodSandboxId, pod, container, log, begin, &s); err != nil {
		return s, err
	}
	before := time.Now()
	removed = true
	if err := r.remove(ctx, sandbox.PodSandboxId); err != nil {
		return s, err
	}
	s.Teardown, s.Life = time.Since(before), time.Since(begin)
	return s, os.RemoveAll(pod.LogDirectory)
}

// container runs the pod's container to its end.
func (r *Runner) container(ctx context.Context, sandbox string, pod *runtime.PodSandboxConfig, container *runtime.ContainerConfig, log *logWatch, begin time.Time, s *Sample) error {
	before := time.Now()
	created, err := r.runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: sandbox, Config: container, SandboxConfig: pod})
	if err != nil {
		return err
	}
	s.CreateContainer = time.Since(before)
	before = time.Now()
	if _, err := r.runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return err
	}
	s.StartContainer = time.Since(before)
	written, err := log.first(ctx)
	if err != nil {
		return err
	}
	s.FirstByte, s.ColdStart = written.Sub(before), written.Sub(begin)
	// Only then is it worth asking, which costs containerd something.
	if err := log.end(ctx); err != nil {
		return err
	}
	return r.ended(ctx, created.ContainerId)
}

// ended waits for the container's end and checks that it was a good one.
func (r *Runner) ended(ctx context.Context, id string) error {
	for {
		resp, err := r.runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return err
		}
		if resp.Status.State == runtime.ContainerState_CONTAINER_EXITED {
			if resp.Status.ExitCode != 0 {
				return fmt.Errorf("exit code %d: %s %s", resp.Status.ExitCode, resp.Status.Reason, resp.Status.Message)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *Runner) remove(ctx context.Context, id string) error {
	if _, err := r.runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return err
	}
	_, err := r.runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}
