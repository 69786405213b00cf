package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"blazar/internal/linuximage"
	"blazar/internal/node"
)

// longest bounds a round.
const longest = 20 * time.Minute

// suite is critest on a node.
type suite struct {
	node      *node.Node
	root, tmp string
	procs     int
}

// round is one run of critest: it runs what matches one of focus, if there is any, and
// none of skip.
type round struct {
	handler     string
	focus, skip []string
}

// rounds are those that the options ask for.
func rounds(o options, skips []skip) []round {
	first := round{handler: o.handler}
	for _, k := range skips {
		if o.skipped {
			first.focus = append(first.focus, k.re.String())
		} else {
			first.skip = append(first.skip, k.re.String())
		}
	}
	if o.focus != "" {
		first.focus = append(first.focus, o.focus)
	}
	all := []round{first}
	if isWasm(o.handler) && o.focus == "" && !o.skipped {
		for handler, specs := range webSpecs {
			all[0].skip = append(all[0].skip, specs)
			all = append(all, round{handler: handler, focus: []string{specs}, skip: first.skip})
		}
	}
	return all
}

// run runs a round; what critest prints, its own summary at the end, goes to standard
// output.
func (s *suite) run(ctx context.Context, r round) ([]spec, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	dir, err := os.MkdirTemp(s.tmp, "round-")
	if err != nil {
		return nil, err
	}
	images := filepath.Join(dir, "images.yaml")
	yaml := fmt.Sprintf("defaultTestContainerImage: %s\nwebServerTestImage: %s\n", linuximage.Busybox, linuximage.Nginx)
	if err := os.WriteFile(images, []byte(yaml), 0o644); err != nil {
		return nil, err
	}
	tools := filepath.Join(s.root, ".cache", "bin")
	program := filepath.Join(dir, "critest.test") // ginkgo goes by the end of the name
	if err := os.Symlink(filepath.Join(tools, "critest"), program); err != nil {
		return nil, err
	}
	args := []string{"run", "--procs", fmt.Sprint(s.procs), "--no-color", "--succinct",
		"--timeout", longest.String(), "--json-report", "report.json", "--output-dir", dir}
	for _, re := range r.skip {
		args = append(args, "--skip", re)
	}
	for _, re := range r.focus {
		args = append(args, "--focus", re)
	}
	args = append(args, program, "--",
		"--runtime-endpoint", "unix://"+s.node.Containerd(), "--runtime-handler", r.handler,
		"--test-images-file", images, "--config", filepath.Join(s.node.Dir, "crictl.yaml"))
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "ginkgo"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	failed := cmd.Run()
	specs, err := readReport(filepath.Join(dir, "report.json"))
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return specs, fmt.Errorf("ginkgo: %w", failed)
	}
	return specs, nil
}

// merge takes of each spec the round that ran it.
func merge(all, more []spec) []spec {
	if all == nil {
		return more
	}
	done := map[string]spec{}
	for _, s := range more {
		done[s.text()] = s
	}
	for i := range all {
		if s, ok := done[all[i].text()]; ok && all[i].State == "skipped" && s.State != "skipped" {
			all[i] = s
		}
	}
	return all
}
