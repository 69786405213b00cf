package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/bench/environment"
	"blazar/internal/node"
	"blazar/internal/version"
)

// perPod bounds one pod's life.
const perPod = time.Minute

// measure runs everything on a node of its own.
func measure(ctx context.Context, o options) (r *result, err error) {
	n, err := node.Start(ctx, node.Config{Bin: o.bin, Tools: o.tools})
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopErr := n.Stop(context.WithoutCancel(ctx)); err == nil {
			err = stopErr
		}
	}()
	for _, c := range contestants {
		if err := c.prepare(ctx, n, o.images); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	conn, err := n.CRI()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // everything has been answered by then
	p := &pods{node: n, runtime: runtime.NewRuntimeServiceClient(conn)}

	r = newResult(o)
	if _, err := p.round(ctx, o.warmup, nil); err != nil {
		return nil, fmt.Errorf("warm up: %w\n%s", err, n.Log("containerd", 10))
	}
	r.Environment = environment.Begin()
	if err := p.versions(ctx, o, r.Environment.Versions); err != nil {
		return nil, err
	}
	if _, err := p.round(ctx, o.iterations, r); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, n.Log("containerd", 10))
	}
	r.Environment.End()
	return r, nil
}

// round runs n pods of each contestant, in an order that moves on, so that none
// always follows the same other one. r may be nil.
func (p *pods) round(ctx context.Context, n int, r *result) (*result, error) {
	for i := range n {
		for j := range contestants {
			at := (i + j) % len(contestants)
			s, err := p.one(ctx, contestants[at])
			if err != nil {
				return nil, fmt.Errorf("%s, pod %d: %w", contestants[at].name, i, err)
			}
			if r != nil {
				r.add(at, s)
			}
		}
	}
	return r, nil
}

// versions names the programs that take part.
func (p *pods) versions(ctx context.Context, o options, into map[string]string) error {
	v, err := p.runtime.Version(ctx, &runtime.VersionRequest{})
	if err != nil {
		return err
	}
	into[v.RuntimeName] = v.RuntimeVersion
	blazar, err := buildinfo.ReadFile(filepath.Join(o.bin, "blazar"))
	if err != nil {
		return err
	}
	into["blazar"] = version.Of(blazar)
	out, err := exec.CommandContext(ctx, filepath.Join(o.tools, "runc"), "--version").Output()
	if err != nil {
		return fmt.Errorf("version of runc: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	into["runc"] = strings.TrimPrefix(first, "runc version ")
	return nil
}
