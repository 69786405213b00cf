package node

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
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
	if err := errors.Join(image.WriteArchive(f), f.Close()); err != nil {
		return fmt.Errorf("image %s: %w", image.Name, err)
	}
	if err := n.ImportImage(ctx, f.Name()); err != nil {
		return err
	}
	return n.awaitImage(ctx, image.Name)
}

// awaitImage returns when CRI knows an image, which it learns of from an event, or
// after a while: whoever uses the image then is told by CRI what is wrong with it.
func (n *Node) awaitImage(ctx context.Context, name string) error {
	conn, err := n.CRI()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	images := cri.NewImageServiceClient(conn)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
		if err != nil || r.GetImage() != nil {
			return err
		}
	}
	return nil
}

// ImportImage imports an OCI archive of one image and unpacks it. containerd unpacks
// images of other platforms than its own only for who names the platform.
func (n *Node) ImportImage(ctx context.Context, file string) error {
	args := []string{"images", "import"}
	platform, err := archivePlatform(file)
	if err != nil {
		return fmt.Errorf("image %s: %w", file, err)
	}
	if platform.Architecture == "wasm" {
		args = append(args, "--local", "--platform", platform.OS+"/"+platform.Architecture)
	}
	_, err = n.Ctr(ctx, append(args, file)...)
	return err
}

// longestJSON is more than any manifest or config of these archives has.
const longestJSON = 1 << 16

// archivePlatform is the platform in the config of an archive's image; the zero value
// when it has none, as artifacts do.
func archivePlatform(file string) (ocispec.Platform, error) {
	f, err := os.Open(file)
	if err != nil {
		return ocispec.Platform{}, err
	}
	defer func() { _ = f.Close() }()
	for archive := tar.NewReader(f); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return ocispec.Platform{}, nil
		}
		if err != nil {
			return ocispec.Platform{}, err
		}
		if h.Size > longestJSON {
			continue
		}
		var config ocispec.Image
		if json.NewDecoder(archive).Decode(&config) == nil && config.OS != "" && config.RootFS.Type != "" {
			return config.Platform, nil
		}
	}
}
