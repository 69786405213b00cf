package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/urfave/cli/v3"

	"blazar/cmd/internal/daemon"
	"blazar/internal/config"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/precompile"
)

func imagePrecompile() *cli.Command {
	return &cli.Command{
		Name:      "precompile",
		Usage:     "compile images now, so that their first pods need not wait",
		ArgsUsage: "IMAGE|TAR|DIRECTORY|MODULE...",
		Description: "IMAGE is one that containerd has. The daemon does the same by itself when an image\n" +
			"appears; both may do so at once. Needs to be the user whom the cache belongs to, root.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "configuration file (default " + config.DefaultFile + ", which need not exist)"},
			&cli.StringSliceFlag{Name: "engine", Usage: `for this engine, "default" for that of pods that choose none (repeatable)`, Value: []string{precompile.Default}},
			&cli.StringFlag{Name: "namespace", Usage: "containerd's namespace", Value: "k8s.io"},
			&cli.StringFlag{Name: "root", Usage: "directory that the cache is in, the daemon's"},
			&cli.StringFlag{Name: "containerd", Usage: "containerd's gRPC socket"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this long", Value: 10 * time.Minute},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.NArg() == 0 {
				return usage(c, "name an image or a module")
			}
			cfg, err := config.Load(c.String("config"))
			if err != nil {
				return err
			}
			if c.IsSet("root") {
				if cfg.Root, err = filepath.Abs(c.String("root")); err != nil {
					return err
				}
			}
			if c.IsSet("containerd") {
				cfg.Containerd.Address = c.String("containerd")
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
			return precompileAll(ctx, cfg, c)
		},
	}
}

// precompileAll goes on after a failure and reports all of them.
func precompileAll(ctx context.Context, cfg config.Config, c *cli.Command) (err error) {
	cache, err := daemon.OpenCache(cfg, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	compiler, err := daemon.NewCompiler(cfg, describedEngines(cfg), cache, c.StringSlice("engine"))
	if err != nil {
		return err
	}
	compiler.Thorough = true
	containerd, err := precompile.NewContainerd(cfg.Containerd.Address)
	if err != nil {
		return err
	}
	defer func() { _ = containerd.Close() }() // only asked
	var errs []error
	for _, what := range c.Args().Slice() {
		began := time.Now()
		report, err := precompileOne(ctx, compiler, containerd, c.String("namespace"), what)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
			continue
		}
		errs = append(errs, printReport(c.Root().Writer, what, report, time.Since(began)))
	}
	return errors.Join(errs...)
}

func precompileOne(ctx context.Context, c *precompile.Compiler, containerd *precompile.Containerd, namespace, what string) (*precompile.Report, error) {
	st, err := os.Stat(what)
	if errors.Is(err, fs.ErrNotExist) {
		return precompileImage(ctx, c, containerd, namespace, what)
	}
	if err != nil {
		return nil, err
	}
	if st.Mode().IsRegular() {
		f, err := os.Open(what)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // opened for reading
		if kind, err := ociwasm.Sniff(f, st.Size()); err != nil || kind != ociwasm.KindArchive {
			if err != nil {
				return nil, err
			}
			return c.File(ctx, what, f)
		}
	}
	src, err := openLayout(ctx, what, "")
	if err != nil {
		return nil, err
	}
	report, err := c.Image(ctx, src, src.desc)
	return report, errors.Join(err, src.Close())
}

// precompileImage finds an image by the name it has in containerd, or the full form
// of it.
func precompileImage(ctx context.Context, c *precompile.Compiler, containerd *precompile.Containerd, namespace, name string) (*precompile.Report, error) {
	image, err := containerd.Get(ctx, namespace, name)
	if errdefs.IsNotFound(err) {
		if full, ferr := reference.ParseDockerRef(name); ferr == nil && full.String() != name {
			image, err = containerd.Get(ctx, namespace, full.String())
		}
	}
	switch {
	case errdefs.IsNotFound(err):
		return nil, fmt.Errorf("there is no such file, and no such image in namespace %s (`crictl images` lists them): %w", namespace, err)
	case errdefs.IsUnavailable(err) && strings.HasPrefix(name, "/"):
		return nil, fmt.Errorf("there is no such file: %w", errdefs.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("no such file, and containerd does not answer (--containerd names its socket): %w", err)
	}
	return c.Image(ctx, containerd.Content(namespace), image.Target)
}

func printReport(w io.Writer, what string, r *precompile.Report, took time.Duration) error {
	var errs []error
	for _, x := range r.Results {
		word := fmt.Sprintf("compiled in %s", took.Round(time.Millisecond))
		switch {
		case x.Err != nil:
			errs = append(errs, fmt.Errorf("%s: engine %s: %w", what, x.Engine, x.Err))
			continue
		case x.Hit:
			word = "was compiled already"
		}
		if _, err := fmt.Fprintf(w, "%s: %s, %s: %s\n", what, r.Place, x.Engine, word); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
