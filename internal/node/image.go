package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// importLinuxImages gives the node the pause image, which no registry is asked for,
// and a Linux program to compare with.
func (n *Node) importLinuxImages(ctx context.Context) error {
	for name, program := range map[string]string{PauseImage: "linux-pause", HelloImage: "linux-hello"} {
		content, err := os.ReadFile(n.tool(program))
		if err != nil {
			return err
		}
		layer, err := RootfsLayer(map[string][]byte{"program": content})
		if err != nil {
			return err
		}
		image := &Image{
			Name:     name,
			Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
			Config:   ocispec.ImageConfig{Entrypoint: []string{"/program"}},
			Layers:   []Layer{layer},
		}
		if err := n.LoadImage(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

// LoadImage packs an image and imports it.
func (n *Node) LoadImage(ctx context.Context, image *Image) error {
	f, err := os.CreateTemp(n.path("tmp"), "image-*.tar")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(image.write(f), f.Close()); err != nil {
		return fmt.Errorf("image %s: %w", image.Name, err)
	}
	return n.ImportImage(ctx, f.Name())
}

// ImportImage imports an OCI archive.
func (n *Node) ImportImage(ctx context.Context, file string) error {
	_, err := n.Ctr(ctx, "images", "import", file)
	return err
}
