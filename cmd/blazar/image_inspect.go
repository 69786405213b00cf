package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	ociwasm "blazar/oci-wasm"
)

func imageInspect() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "say what an image is and whether it would run",
		ArgsUsage: "TAR|DIRECTORY|REFERENCE",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "image", Usage: "which one, where there are several: its name or digest"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		}, registryFlags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.NArg() != 1 {
				return usage(c, "name the image")
			}
			ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
			src, err := openImage(ctx, c, c.Args().First(), c.String("image"))
			if err != nil {
				return err
			}
			r, err := report(ctx, src)
			if err = errors.Join(err, src.Close()); err != nil {
				return fmt.Errorf("%s: %w", c.Args().First(), err)
			}
			if c.Bool("json") {
				e := json.NewEncoder(c.Root().Writer)
				e.SetIndent("", "  ")
				return e.Encode(r)
			}
			return r.print(c.Root().Writer)
		},
	}
}

// imageReport is what inspect prints.
type imageReport struct {
	Name        string            `json:"name,omitempty"`
	Digest      string            `json:"digest"`
	Manifest    string            `json:"manifest"`
	Shape       string            `json:"shape"`
	Platform    string            `json:"platform"`
	Args        []string          `json:"args,omitempty"`
	Env         []string          `json:"env,omitempty"`
	WorkingDir  string            `json:"workingDir,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Module      string            `json:"module"`
	ModuleSize  int64             `json:"moduleSize,omitempty"`
	ModuleKind  string            `json:"moduleKind,omitempty"`
	Layers      int               `json:"layers"`
}

func report(ctx context.Context, src *imageSource) (*imageReport, error) {
	image, err := ociwasm.Inspect(ctx, src, src.desc)
	if err != nil {
		return nil, err
	}
	r := &imageReport{
		Name: ociwasm.ImageName(src.desc), Digest: src.desc.Digest.String(), Manifest: image.Manifest.Digest.String(),
		Shape: image.Shape.String(), Platform: image.Platform.OS + "/" + image.Platform.Architecture,
		Args: image.Config.Args(), Env: image.Config.Env, WorkingDir: image.Config.WorkingDir,
		Labels: image.Config.Labels, Annotations: image.Annotations, Layers: len(image.Layers),
	}
	arg0 := "/"
	if len(r.Args) > 0 {
		arg0 = r.Args[0]
	} else if image.Module == nil {
		r.Module = "the image names none: the container's command must"
		return r, nil
	}
	at, err := ociwasm.Locate(image, arg0)
	if err != nil {
		return nil, err
	}
	found, err := ociwasm.FindModule(ctx, src, image, at)
	if err != nil {
		return nil, err
	}
	r.Module, r.ModuleSize, r.ModuleKind = found.Place, found.Size, string(found.Kind)
	return r, ociwasm.CheckModule(found.Place, found, found.Size, ociwasm.Abilities{Components: true})
}

func (r *imageReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", name, value) // Flush reports what failed
		}
	}
	line("name", r.Name)
	line("digest", r.Digest)
	line("shape", r.Shape)
	line("platform", r.Platform)
	line("module", r.Module)
	if r.ModuleKind != "" {
		line("", fmt.Sprintf("%s, %d bytes", r.ModuleKind, r.ModuleSize))
	}
	line("command", strings.Join(r.Args, " "))
	line("environment", strings.Join(r.Env, " "))
	line("directory", r.WorkingDir)
	return t.Flush()
}
