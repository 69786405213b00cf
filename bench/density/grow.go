package density

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/bench/client"
	"blazar/bench/internal/lab"
	"blazar/internal/node"
)

// idle is a container that says a word and sleeps, of the kind that the contestant
// runs.
func idle(name string, e lab.Entrant) *runtime.ContainerConfig {
	c := node.Container(name, idleWasm)
	if e.Engine == "" {
		c = node.Container(name, node.HelloImage)
	}
	c.Args = []string{"sleep"}
	return c
}

// idleWasm sleeps; it is as small as hello.
const idleWasm = "blazar.example/stubborn:latest"

// grower runs things on a node, more and more.
type grower struct {
	client *client.Client
	name   string // of the node's cgroup
	settle time.Duration
	series *series
}

// newGrower is for a node that nobody else uses.
func newGrower(n *node.Node, label string, settle time.Duration) (*grower, error) {
	c, err := client.New(n)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(n.CgroupParent(), "/"), "/")
	return &grower{client: c, name: name, settle: settle, series: &series{label: label}}, nil
}

// measure takes a point after a while in which nothing happens.
func (g *grower) measure(ctx context.Context, n int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(g.settle):
	}
	u, err := usageOf(g.name)
	if err != nil {
		return err
	}
	if n > 0 && u.count[podProcesses] == 0 || u.count[containerd] != 1 {
		return fmt.Errorf("with %d of them the node has the processes %v", n, u.count)
	}
	g.series.points = append(g.series.points, point{n, u})
	return nil
}

// pods runs pods with one idle container each, and measures at each of the steps.
func (g *grower) pods(ctx context.Context, e lab.Entrant, steps []int) (err error) {
	var all []*client.Pod
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.Remove(ctx))
		}
	}()
	for _, step := range steps {
		for len(all) < step {
			p, err := g.client.RunPod(ctx, client.PodOptions{Name: "density", Handler: e.Handler, HostNetwork: true})
			if err != nil {
				return err
			}
			all = append(all, p)
			if _, err := p.RunContainer(ctx, idle("idle", e)); err != nil {
				return err
			}
		}
		if err := g.measure(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// containers runs idle containers in one pod, and measures at each of the steps.
func (g *grower) containers(ctx context.Context, e lab.Entrant, steps []int) (linear float64, err error) {
	p, err := g.client.RunPod(ctx, client.PodOptions{Name: "density", Handler: e.Handler, HostNetwork: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Remove(ctx)) }()
	count, id := 0, ""
	for _, step := range steps {
		for ; count < step; count++ {
			if id, err = p.RunContainer(ctx, idle(fmt.Sprintf("idle-%d", count), e)); err != nil {
				return 0, err
			}
		}
		if err := g.measure(ctx, step); err != nil {
			return 0, err
		}
	}
	r, err := g.client.Runtime.ContainerStats(ctx, &runtime.ContainerStatsRequest{ContainerId: id})
	if err != nil {
		return 0, err
	}
	return float64(r.GetStats().GetMemory().GetWorkingSetBytes().GetValue()), nil
}
