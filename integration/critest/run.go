package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"blazar/internal/node"
)

// run starts a node, runs critest on it, and takes it down.
func run(ctx context.Context, o options) (err error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	skips, err := readSkips(filepath.Join(root, "integration", "critest", skipList(o.handler)))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "critest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := loopbackUp(); err != nil {
		return err
	}
	defer removeDefaultCgroups(defaultCgroups())
	c := node.Config{
		Bin:        o.bin,
		Tools:      filepath.Join(root, ".cache", "bin"),
		Kinds:      []string{node.Runc},
		LinuxOnly:  o.handler == node.Handler,
		Registries: filepath.Join(tmp, "registries"),
		PortMap:    true,
	}
	tars := filepath.Join(root, ".cache", "images")
	if isWasm(o.handler) {
		tars, c.Kinds = tmp, []string{node.Wasm}
		if err := wasmImages(ctx, root, tmp); err != nil {
			return err
		}
		if c.Runtimes, err = webRuntimes(ctx, root, tmp); err != nil {
			return err
		}
	}
	if err := serveImages(ctx, tars, c.Registries); err != nil {
		return err
	}
	n, err := node.Start(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, finish(ctx, n)) }()
	for _, tar := range []string{"linux-busybox", "linux-nginx"} {
		if err := n.ImportImage(ctx, filepath.Join(tars, tar+".tar")); err != nil {
			return err
		}
	}
	return runSpecs(ctx, &suite{node: n, root: root, tmp: tmp, procs: o.procs}, o, skips)
}

// runSpecs runs the specs in as many rounds as it takes, and judges them.
func runSpecs(ctx context.Context, s *suite, o options, skips []skip) error {
	started := time.Now()
	var errs []error
	var specs []spec
	for _, r := range rounds(o, skips) {
		done, err := s.run(ctx, r)
		if err != nil {
			errs = append(errs, fmt.Errorf("handler %s: %w", r.handler, err))
		}
		specs = merge(specs, done)
	}
	if o.report != "" {
		errs = append(errs, writeReport(o.report, specs))
	}
	if o.focus == "" && !o.skipped {
		fmt.Printf("\n%s, %s:\n", o.handler, time.Since(started).Round(time.Second))
		errs = append(errs, judge(os.Stdout, specs, skips))
	}
	return errors.Join(errs...)
}

func isWasm(handler string) bool { return handler != node.RuncHandler && handler != node.Handler }

// skipList is the file of what a handler's pods are not asked for.
func skipList(handler string) string {
	if isWasm(handler) {
		return "skip-wasm.txt"
	}
	return "skip.txt"
}

// finish looks for what the specs left behind and stops the node.
func finish(ctx context.Context, n *node.Node) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if err := n.RemovePods(ctx); err != nil {
		errs = append(errs, err)
	}
	left, err := n.Leaks(ctx)
	errs = append(errs, err)
	for _, l := range left {
		errs = append(errs, fmt.Errorf("left on the node: %s", l))
	}
	if len(left) > 0 {
		for _, name := range []string{"serve", "taskd"} {
			fmt.Fprintf(os.Stderr, "--- end of %s's log ---\n%s\n", name, n.Log(name, 30))
		}
	}
	return errors.Join(append(errs, n.Stop(ctx))...)
}

// defaultCgroups are the parents, in every hierarchy, of pods that name none, which
// critest's do not: CRI's namespace, and Blazar's own.
func defaultCgroups() []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/k8s.io", "/sys/fs/cgroup/k8s.io", "/sys/fs/cgroup/*/blazar", "/sys/fs/cgroup/blazar"} {
		dirs, _ := filepath.Glob(pattern) // it is well formed
		found = append(found, dirs...)
	}
	return found
}

// removeDefaultCgroups removes those that were not there before and are empty.
func removeDefaultCgroups(before []string) {
	for _, dir := range defaultCgroups() {
		if !slices.Contains(before, dir) {
			_ = os.Remove(dir) // of another node meanwhile, then
		}
	}
}
