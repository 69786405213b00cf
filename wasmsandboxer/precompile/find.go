package precompile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	ociwasm "blazar/oci-wasm"
)

// ErrNoModule is about an image that has no module, as far as one can tell without
// reading all of it, or whose command only the container will say.
var ErrNoModule = errors.New("the image names no wasm module")

// find finds the module that a container with the image's own command runs.
//
// Where an index has entries for wasm and for Linux, a pod takes a module that is a
// layer from the former, while the command and the files that containerd gives it
// are the latter's: both are looked at as the pod would.
func (c *Compiler) find(ctx context.Context, p content.Provider, d ocispec.Descriptor) (*module, error) {
	image, err := ociwasm.Inspect(ctx, p, d)
	if err != nil {
		return nil, notWasm(err)
	}
	files, err := ociwasm.Inspect(ctx, p, d, ociwasm.WithOrder(ociwasm.LikeContainerd))
	if err != nil {
		return nil, notWasm(err)
	}
	command := "/" // what stands for a command where there is none to be had
	if args := files.Config.Args(); len(args) > 0 {
		command = args[0]
	} else if image.Module == nil {
		return nil, fmt.Errorf("it has no command: %w", ErrNoModule)
	}
	src, err := ociwasm.Locate(image, command)
	if err != nil {
		return nil, err
	}
	if src.Layer != nil {
		layer := *src.Layer
		return &module{
			place: "layer " + layer.Digest.String(), digest: layer.Digest,
			check: func(a ociwasm.Abilities) error { return ociwasm.CheckLayer(ctx, p, layer, a) },
			open:  func(ctx context.Context) (io.ReadCloser, error) { return ociwasm.OpenModule(ctx, p, layer) },
		}, nil
	}
	if !c.Thorough && !promising(files, src) {
		return nil, fmt.Errorf("its command is %.200q: %w", command, ErrNoModule)
	}
	return c.extract(ctx, p, files, src)
}

// promising says whether it is worth decompressing an image's layers: there are
// many Linux images on a node, and few with a module.
func promising(image *ociwasm.Image, s ociwasm.Source) bool {
	return image.Shape != ociwasm.ShapeLinux || image.Variant != "" || path.Ext(s.Path) == ".wasm"
}

// notWasm turns the refusal of what is no image for a container at all, as charts and
// signatures are, into ErrNoModule.
func notWasm(err error) error {
	var r *ociwasm.Refusal
	if errors.As(err, &r) {
		return fmt.Errorf("%w: %w", err, ErrNoModule)
	}
	return err
}

// extract copies the module out of the image's layers.
func (c *Compiler) extract(ctx context.Context, p content.Provider, image *ociwasm.Image, s ociwasm.Source) (_ *module, err error) {
	f, err := os.CreateTemp(c.Scratch, ".module-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // has no name and goes with it
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	place, err := ociwasm.ExtractModule(ctx, p, image, s, f)
	if err != nil {
		return nil, err
	}
	m, err := ofFile(ctx, place, f)
	if err != nil {
		return nil, err
	}
	m.file = f
	return m, nil
}
