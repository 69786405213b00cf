package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"blazar/internal/linuximage"
	"blazar/internal/node"
)

// longest bounds the whole run.
const longest = 25 * time.Minute

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
	tars, registries := filepath.Join(root, ".cache", "images"), filepath.Join(tmp, "registries")
	if err := serveImages(ctx, tars, registries); err != nil {
		return err
	}
	n, err := node.Start(ctx, node.Config{
		Bin:        filepath.Join(root, "bin"),
		Tools:      filepath.Join(root, ".cache", "bin"),
		Kinds:      kinds(o.handler),
		LinuxOnly:  o.handler == node.Handler,
		Registries: registries,
		PortMap:    true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, finish(ctx, n, o)) }()
	for _, tar := range []string{"linux-busybox", "linux-nginx"} {
		if err := n.ImportImage(ctx, filepath.Join(tars, tar+".tar")); err != nil {
			return err
		}
	}
	started := time.Now()
	runErr := critest(ctx, n, o, skips, root, tmp)
	specs, err := readReport(filepath.Join(tmp, "report.json"))
	if err != nil {
		return errors.Join(runErr, err)
	}
	if o.report != "" {
		if err := writeReport(o.report, specs); err != nil {
			return err
		}
	}
	if o.focus != "" || o.skipped {
		return runErr
	}
	fmt.Printf("\n%s, %s:\n", o.handler, time.Since(started).Round(time.Second))
	return errors.Join(runErr, judge(os.Stdout, specs, skips))
}

// kinds are those that the node must serve for a handler.
func kinds(handler string) []string {
	if handler == node.RuncHandler {
		return []string{node.Runc}
	}
	return []string{node.Wasm}
}

// skipList is the file of what a handler's pods are not asked for.
func skipList(handler string) string {
	if handler == node.RuncHandler || handler == node.Handler {
		return "skip.txt"
	}
	return "skip-wasm.txt"
}

// critest runs it; what it prints, its own summary at the end, goes to standard output.
func critest(ctx context.Context, n *node.Node, o options, skips []skip, root, tmp string) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	images := filepath.Join(tmp, "images.yaml")
	yaml := fmt.Sprintf("defaultTestContainerImage: %s\nwebServerTestImage: %s\n", linuximage.Busybox, linuximage.Nginx)
	if err := os.WriteFile(images, []byte(yaml), 0o644); err != nil {
		return err
	}
	tools := filepath.Join(root, ".cache", "bin")
	suite := filepath.Join(tmp, "critest.test") // ginkgo goes by the end of the name
	if err := os.Symlink(filepath.Join(tools, "critest"), suite); err != nil {
		return err
	}
	args := []string{"run", "--procs", fmt.Sprint(o.procs), "--no-color", "--succinct",
		"--timeout", longest.String(), "--json-report", "report.json", "--output-dir", tmp}
	for _, k := range skips {
		if o.skipped {
			args = append(args, "--focus", k.re.String())
		} else {
			args = append(args, "--skip", k.re.String())
		}
	}
	if o.focus != "" {
		args = append(args, "--focus", o.focus)
	}
	args = append(args, suite, "--",
		"--runtime-endpoint", "unix://"+n.Containerd(), "--runtime-handler", o.handler,
		"--test-images-file", images, "--config", filepath.Join(n.Dir, "crictl.yaml"))
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "ginkgo"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ginkgo: %w", err)
	}
	return nil
}

// finish looks for what the specs left behind and stops the node.
func finish(ctx context.Context, n *node.Node, o options) error {
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
