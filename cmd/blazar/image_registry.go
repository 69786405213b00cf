package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v3"

	ociwasm "blazar/oci-wasm"
)

func imagePush() *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "push an image to a registry",
		ArgsUsage: "TAR|DIRECTORY REFERENCE",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "which one, where there are several: its name or digest"},
		}, registryFlags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.NArg() != 2 {
				return usage(c, "name the image's tar and the reference to push it as")
			}
			src, err := openLayout(ctx, c.Args().Get(0), c.String("image"))
			if err != nil {
				return err
			}
			err = errors.Join(pushImage(ctx, c, src, src.desc, c.Args().Get(1)), src.Close())
			if err == nil {
				_, err = fmt.Fprintln(c.Root().Writer, src.desc.Digest)
			}
			return err
		},
	}
}

func pushImage(ctx context.Context, c *cli.Command, p content.Provider, d ocispec.Descriptor, ref string) error {
	r, err := openRegistry(c, ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	defer cancel()
	return r.Push(ctx, p, d)
}

func imagePull() *cli.Command {
	return &cli.Command{
		Name:      "pull",
		Usage:     "save an image of a registry as a tar",
		ArgsUsage: "REFERENCE",
		Description: "Of an image for several platforms, takes the one that would run: wasip1/wasm, wasi/wasm,\n" +
			"or linux. Refuses what is no wasm image before its layers are fetched.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the tar to write, - for stdout, or a directory with a slash at its end (default: the image's name with .tar)"},
		}, registryFlags()...),
		Action: runImagePull,
	}
}

func runImagePull(ctx context.Context, c *cli.Command) error {
	if c.NArg() != 1 {
		return usage(c, "name the reference to pull")
	}
	r, err := openRegistry(c, c.Args().First())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	defer cancel()
	d, err := r.Resolve(ctx)
	if err != nil {
		return err
	}
	image, err := ociwasm.Inspect(ctx, r, d)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name(), err)
	}
	name := r.Name()
	if repo, _, digested := strings.Cut(name, "@"); digested {
		name = repo // a digest is no name to import an image under
	}
	root, err := ociwasm.Named(image.Manifest, name)
	if err != nil {
		return err
	}
	out := c.String("output")
	if out == "" {
		base, _, _ := strings.Cut(path.Base(name), ":")
		out = base + ".tar"
	}
	if err := writeImage(ctx, c.Root().Writer, out, r, root); err != nil {
		return fmt.Errorf("pulling %s into %s: %w", r.Name(), out, err)
	}
	if out != "-" {
		_, err = fmt.Fprintln(c.Root().Writer, root.Digest)
	}
	return err
}
