package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v3"

	ociwasm "blazar/oci-wasm"
	"blazar/oci-wasm/registry"
)

func imageCommand() *cli.Command {
	return &cli.Command{
		Name:     "image",
		Usage:    "pack WebAssembly modules into images, move them and look into them",
		Commands: []*cli.Command{imageBuild(), imagePush(), imagePull(), imageInspect(), imagePrecompile()},
	}
}

// registryFlags are those of every command that talks to a registry.
func registryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "plain-http", Usage: "speak HTTP to the registry (always done on this machine)"},
		&cli.DurationFlag{Name: "timeout", Usage: "give up after this long", Value: 10 * time.Minute},
	}
}

func openRegistry(c *cli.Command, ref string) (*registry.Repository, error) {
	return registry.Open(ref, registry.Options{PlainHTTP: c.Bool("plain-http")})
}

// imageSource is an image somewhere, to be closed.
type imageSource struct {
	content.Provider
	desc   ocispec.Descriptor
	closer io.Closer
}

func (s *imageSource) Close() error {
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}

// openImage takes a tar, a directory, or else a reference in a registry.
func openImage(ctx context.Context, c *cli.Command, where, name string) (*imageSource, error) {
	_, err := os.Stat(where)
	if err == nil {
		return openLayout(ctx, where, name)
	}
	if !errors.Is(err, fs.ErrNotExist) || strings.HasSuffix(where, ".tar") || strings.HasPrefix(where, "/") || strings.HasPrefix(where, ".") {
		return nil, err
	}
	r, err := openRegistry(c, where)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a file nor a reference: %w", where, err)
	}
	d, err := r.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	return &imageSource{Provider: r, desc: d}, nil
}

func openLayout(ctx context.Context, where, name string) (*imageSource, error) {
	l, err := ociwasm.OpenLayout(ctx, where)
	if err != nil {
		return nil, err
	}
	d, err := l.Image(name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", where, err), l.Close())
	}
	return &imageSource{Provider: l, desc: d, closer: l}, nil
}

// writeImage writes a tar, to stdout for "-", or a directory for a name that ends
// in a slash. What is half written is removed again.
func writeImage(ctx context.Context, stdout io.Writer, out string, p content.Provider, d ocispec.Descriptor) (err error) {
	switch {
	case out == "-":
		return ociwasm.WriteTar(ctx, stdout, p, d)
	case strings.HasSuffix(out, "/"):
		return ociwasm.WriteDir(ctx, out, p, d)
	}
	f, err := os.CreateTemp(dirOf(out), ".blazar-image-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(ociwasm.WriteTar(ctx, f, p, d), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i+1]
	}
	return "."
}

// pairs turns NAME=value words into a map.
func pairs(flag string, words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--%s %q must be NAME=value: %w", flag, w, errdefs.ErrInvalidArgument)
		}
		m[k] = v
	}
	return m, nil
}

// usage is an error about the command line.
func usage(c *cli.Command, format string, args ...any) error {
	return cli.Exit(fmt.Sprintf(format, args...)+"; see `"+c.FullName()+" --help`", 2)
}
