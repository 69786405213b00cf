package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// The phases of a pod's life, in order. cold starts with the first call and ends
// with the first byte in the container's log.
const (
	runPod          = "RunPodSandbox"
	createContainer = "CreateContainer"
	startContainer  = "StartContainer"
	firstByte       = "StartContainer to first byte"
	cold            = "cold start"
	teardown        = "StopPodSandbox + RemovePodSandbox"
)

var phases = []string{runPod, createContainer, startContainer, firstByte, cold, teardown}

// sample is how long each phase took.
type sample map[string]time.Duration

// pods runs pods on a node.
type pods struct {
	node    *node.Node
	runtime runtime.RuntimeServiceClient
	count   int
}

// one runs a pod of the contestant and removes it again.
func (p *pods) one(ctx context.Context, c contestant) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, perPod)
	defer cancel()
	p.count++
	pod := p.node.Pod(fmt.Sprintf("bench-%d", p.count))
	node.HostNetwork(pod)
	pod.Annotations = c.annotations
	container := node.Container("hello", c.image)
	s = sample{}
	// As a kubelet does, before it calls CRI.
	if err := os.MkdirAll(pod.LogDirectory, 0o755); err != nil {
		return nil, err
	}
	log, err := watchLog(pod.LogDirectory, container.LogPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.close() }() // only read from

	begin := time.Now()
	sandbox, err := p.runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod, RuntimeHandler: c.handler})
	if err != nil {
		return nil, err
	}
	s[runPod] = time.Since(begin)
	removed := false
	defer func() {
		if !removed {
			err = errors.Join(err, p.remove(context.WithoutCancel(ctx), sandbox.PodSandboxId))
		}
	}()

	before := time.Now()
	created, err := p.runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: sandbox.PodSandboxId, Config: container, SandboxConfig: pod})
	if err != nil {
		return nil, err
	}
	s[createContainer] = time.Since(before)
	before = time.Now()
	if _, err := p.runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return nil, err
	}
	s[startContainer] = time.Since(before)
	written, err := log.first(ctx)
	if err != nil {
		return nil, err
	}
	s[firstByte], s[cold] = written.Sub(before), written.Sub(begin)

	if err := p.ended(ctx, created.ContainerId); err != nil {
		return nil, err
	}
	before = time.Now()
	removed = true
	if err := p.remove(ctx, sandbox.PodSandboxId); err != nil {
		return nil, err
	}
	s[teardown] = time.Since(before)
	return s, nil
}

// ended waits for the container's end and checks that it was a good one.
func (p *pods) ended(ctx context.Context, id string) error {
	for {
		r, err := p.runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return err
		}
		if r.Status.State == runtime.ContainerState_CONTAINER_EXITED {
			if r.Status.ExitCode != 0 {
				return fmt.Errorf("exit code %d: %s %s", r.Status.ExitCode, r.Status.Reason, r.Status.Message)
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

func (p *pods) remove(ctx context.Context, id string) error {
	if _, err := p.runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return err
	}
	_, err := p.runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}
