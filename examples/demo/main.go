// Command demo is what `make run` runs: it starts a private containerd with blazar
// serve, runs the example images as pods with crictl, shows what came of them, and
// takes everything down again.
//
//	demo          run the examples
//	demo -keep    … and leave the node up
//	demo -stop    take down the nodes that were left up
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"blazar/internal/node"
)

func main() {
	keep := flag.Bool("keep", false, "leave the node up")
	stop := flag.Bool("stop", false, "take down the nodes that were left up")
	bin := flag.String("bin", "bin", "`folder` of blazar, wasm-task and the shim")
	tools := flag.String("tools", filepath.Join(".cache", "bin"), "`folder` of containerd, crictl and runc")
	images := flag.String("images", filepath.Join(".cache", "images"), "`folder` of the example images")
	flag.Parse()
	// The first Ctrl-C takes the node down in order, the second ends this at once.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // gives the signals their default effect again
	var err error
	if *stop {
		err = stopKept(ctx)
	} else {
		err = run(ctx, *bin, *tools, *images, *keep)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\n"+err.Error())
		os.Exit(1)
	}
}

// run is the demonstration from start to end.
func run(ctx context.Context, bin, tools, images string, keep bool) (err error) {
	config, err := configure(bin, tools)
	if err != nil {
		return err
	}
	if err := node.Sweep(ctx); err != nil {
		return fmt.Errorf("take down what an earlier run left: %w", err)
	}
	s := newScreen(os.Stdout)
	var n *node.Node
	if err := s.step("private containerd and blazar serve", func() (err error) {
		n, err = node.Start(ctx, config)
		return err
	}); err != nil {
		return err
	}
	defer func() {
		if keep && err == nil {
			err = leaveUp(s, n)
			return
		}
		err = errors.Join(err, s.step("everything taken down", func() error {
			return n.Stop(context.WithoutCancel(ctx))
		}))
	}()
	if err := s.step("example images imported", func() error { return importImages(ctx, n, images) }); err != nil {
		return err
	}
	err = showExamples(ctx, s, n)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return fmt.Errorf("%w\n--- end of blazar serve's log ---\n%s", err, n.Log("serve", 30))
	}
	return nil
}

func configure(bin, tools string) (node.Config, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return node.Config{}, err
	}
	tools, err = filepath.Abs(tools)
	return node.Config{
		Bin: bin, Tools: tools,
		// The examples run on kernels too that cannot map the owners of layers.
		ServeArgs: []string{"--confinement", "best-effort"},
	}, err
}

func importImages(ctx context.Context, n *node.Node, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no images in %s: make examples builds them", dir)
	}
	for _, file := range files {
		if err := n.ImportImage(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// stopKept takes down every node that was left up.
func stopKept(ctx context.Context) error {
	dirs, err := node.Kept()
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		fmt.Println("No node is up.")
	}
	s := newScreen(os.Stdout)
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, s.step("node "+dir+" taken down", func() error {
			n, err := node.Open(dir)
			if err != nil {
				return err
			}
			return n.Stop(ctx)
		}))
	}
	return errors.Join(errs...)
}
