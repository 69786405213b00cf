package localrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// openImage opens an OCI layout and what its one image says about running it.
func openImage(ctx context.Context, o Options) (_ *program, err error) {
	layout, err := ociwasm.OpenLayout(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	p := &program{name: o.Target, closers: []func() error{layout.Close}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	desc, err := layout.Image("")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Target, err)
	}
	image, err := ociwasm.Inspect(ctx, layout, desc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Target, err)
	}
	p.args = command(image.Config, o.Args)
	p.env = image.Config.Env
	source, err := ociwasm.Locate(image, p.args[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Target, err)
	}
	if p.entry = source.Export; p.entry == "" {
		p.entry = engines.DefaultEntry
	}
	if len(image.Layers) > 0 {
		if err := p.unpack(ctx, layout, image); err != nil {
			return nil, err
		}
		p.env = withCwd(p.env, image.Config.WorkingDir)
	}
	if source.Layer != nil {
		p.digest = source.Layer.Digest
		p.open = func(ctx context.Context) (io.ReadCloser, error) {
			return ociwasm.OpenModule(ctx, layout, *source.Layer)
		}
		p.check = func(ctx context.Context, a ociwasm.Abilities) error {
			return ociwasm.CheckLayer(ctx, layout, *source.Layer, a)
		}
		return p, nil
	}
	return p, p.find(ctx, source, image.Config.WorkingDir)
}

// command is the guest's command line. As with docker run, args replace the image's
// CMD; where there is only a CMD, its first word stays, since it is the module.
// An artifact has neither, and its module is called "/".
func command(c ociwasm.Config, args []string) []string {
	switch {
	case len(args) == 0 && len(c.Args()) > 0:
		return c.Args()
	case len(c.Entrypoint) > 0:
		return append(append([]string(nil), c.Entrypoint...), args...)
	case len(c.Cmd) > 0:
		return append([]string{c.Cmd[0]}, args...)
	}
	return append([]string{"/"}, args...)
}

// withCwd tells the guest its working directory in the one way there is.
func withCwd(env []string, cwd string) []string {
	if cwd == "" || cwd == "/" {
		return env
	}
	for _, e := range env {
		if strings.HasPrefix(e, "PWD=") {
			return env
		}
	}
	return append(env[:len(env):len(env)], "PWD="+cwd)
}

// unpack unpacks the image's files into a directory that goes with the program.
func (p *program) unpack(ctx context.Context, layout *ociwasm.Layout, image *ociwasm.Image) error {
	dir, err := os.MkdirTemp("", "blazar-run-")
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() error { return os.RemoveAll(dir) })
	p.rootfs = dir
	return ociwasm.UnpackRootfs(ctx, layout, image, dir, ociwasm.UnpackLimits{})
}

// find opens the module among the image's files; no link leads out of them.
func (p *program) find(ctx context.Context, source ociwasm.Source, cwd string) error {
	candidates := source.Candidates(cwd, p.env)
	root, err := os.Open(p.rootfs)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // opened for reading
	for _, path := range candidates {
		fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{
			Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("module %s in the image: %w", path, err)
		}
		f := os.NewFile(uintptr(fd), path)
		p.closers = append(p.closers, f.Close)
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("module %s in the image is no regular file: %w", path, errdefs.ErrInvalidArgument)
		}
		p.name += ":" + path
		return p.file(ctx, f, info.Size())
	}
	return fmt.Errorf("%s: no module %.200q in the image (tried %s); the image's entrypoint must name it, as in /app.wasm: %w",
		p.name, source.Path, strings.Join(candidates, ", "), errdefs.ErrNotFound)
}
