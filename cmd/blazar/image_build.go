package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/urfave/cli/v3"

	ociwasm "blazar/oci-wasm"
)

func imageBuild() *cli.Command {
	one := 1
	return &cli.Command{
		Name:      "build",
		Usage:     "pack a module into an image",
		ArgsUsage: "MODULE [ARG…]",
		Description: "Writes the tar of an OCI layout, which `ctr -n k8s.io images import` and `blazar run` take.\n" +
			"ARGs become the image's command line behind the module. The same input gives the same bytes.\n\n" +
			"Shapes: A, a file in a linux image, runs everywhere; B, the same of platform wasip1/wasm;\n" +
			"C, the module as a layer of its own; D, the CNCF artifact, which has no command line and\n" +
			`needs command: ["/"] in a pod.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "shape", Usage: "A, B, C or D", Value: "A"},
			&cli.StringFlag{Name: "name", Aliases: []string{"t"}, Usage: "the image's name, as in registry.example/app:v1"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the tar to write, - for stdout, or a directory with a slash at its end (default: MODULE's name with .tar, nothing with --push)"},
			&cli.BoolFlag{Name: "push", Usage: "push it to the registry that --name says"},
			&cli.StringFlag{Name: "path", Usage: "the module's path in the image (default: / and MODULE's name)"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "NAME=value in the guest's environment"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "the guest's working directory"},
			&cli.StringSliceFlag{Name: "label", Usage: "NAME=value in the config"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "NAME=value in the manifest"},
			&cli.StringSliceFlag{Name: "add", Usage: "HOST:GUEST, a file or directory to put into the image"},
			&cli.StringSliceFlag{Name: "mkdir", Usage: "an empty directory in the image"},
			&cli.StringFlag{Name: "platform", Usage: "os/architecture, where the shape's own does not fit"},
			&cli.BoolFlag{Name: "compress", Usage: "compress the layer with gzip"},
		}, registryFlags()...),
		DisableSliceFlagSeparator: true,
		StopOnNthArg:              &one, // what follows the module is the guest's
		Action:                    runImageBuild,
	}
}

func runImageBuild(ctx context.Context, c *cli.Command) error {
	file := c.Args().First()
	if file == "" {
		return usage(c, "name the module to pack")
	}
	o, err := packOptions(c, file)
	if err != nil {
		return err
	}
	packed, err := ociwasm.Pack(o)
	if err != nil {
		return fmt.Errorf("packing %s: %w", file, err)
	}
	out := c.String("output")
	if out == "" && !c.Bool("push") {
		out = strings.TrimSuffix(filepath.Base(file), ".wasm") + ".tar"
	}
	if out != "" {
		if err := writeImage(ctx, c.Root().Writer, out, packed, packed.Manifest); err != nil {
			return fmt.Errorf("writing %s: %w", out, err)
		}
	}
	if c.Bool("push") {
		if err := pushImage(ctx, c, packed, packed.Manifest, o.Ref); err != nil {
			return err
		}
	}
	if out != "-" {
		_, err = fmt.Fprintln(c.Root().Writer, packed.Manifest.Digest)
	}
	return err
}

func packOptions(c *cli.Command, file string) (ociwasm.PackOptions, error) {
	o := ociwasm.PackOptions{
		Ref: c.String("name"), Cmd: c.Args().Tail(), Env: c.StringSlice("env"),
		WorkingDir: c.String("workdir"), Path: c.String("path"), Compress: c.Bool("compress"),
	}
	if c.Bool("push") && o.Ref == "" {
		return o, usage(c, "--push needs --name")
	}
	if o.Path == "" {
		o.Path = "/" + filepath.Base(file)
	}
	var errs [5]error
	o.Shape, errs[0] = ociwasm.ParseShape(c.String("shape"))
	o.Labels, errs[1] = pairs("label", c.StringSlice("label"))
	o.Annotations, errs[2] = pairs("annotation", c.StringSlice("annotation"))
	_, errs[3] = pairs("env", o.Env)
	if p := c.String("platform"); p != "" {
		o.Platform, errs[4] = platforms.Parse(p)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return o, err
	}
	for _, dir := range c.StringSlice("mkdir") {
		o.Files = append(o.Files, ociwasm.File{Path: dir, Mode: fs.ModeDir | 0o755})
	}
	for _, add := range c.StringSlice("add") {
		host, guest, ok := strings.Cut(add, ":")
		if !ok {
			return o, usage(c, "--add %q must be HOST:GUEST", add)
		}
		files, err := collect(host, guest)
		if err != nil {
			return o, fmt.Errorf("--add %s: %w", add, err)
		}
		o.Files = append(o.Files, files...)
	}
	var err error
	o.Module, err = readModule(file)
	return o, err
}

// readModule reads a file that may be a module; Pack looks at what it is.
func readModule(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, ociwasm.MaxModuleSize+1))
	return data, errors.Join(err, f.Close())
}

// collect reads a file or a tree; modes lose all but their permissions.
func collect(host, guest string) (files []ociwasm.File, err error) {
	err = filepath.WalkDir(host, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, name)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f := ociwasm.File{Path: path.Join(guest, filepath.ToSlash(rel)), Mode: info.Mode() & (fs.ModeDir | fs.ModePerm)}
		switch {
		case e.IsDir():
		case e.Type().IsRegular():
			if f.Data, err = os.ReadFile(name); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a file nor a directory: %w", name, errdefs.ErrInvalidArgument)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}
