package ociwasm

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Found is a module read out of an image, in memory.
type Found struct {
	*bytes.Reader
	// Place says where it was: the layer's digest, or the file's path.
	Place string
	Size  int64
	Kind  Kind
}

// maxLinks bounds links that lead to links.
const maxLinks = 16

// FindModule reads the module that s means without unpacking the image, for people
// who look into one. Links are followed as far as they name files of the image. A
// module that is not there is a *Refusal.
func FindModule(ctx context.Context, p content.Provider, image *Image, s Source) (*Found, error) {
	var data []byte
	place, err := findModule(ctx, p, image, s, func(r io.Reader) (err error) {
		data, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := bytes.NewReader(data)
	kind, err := Sniff(r, r.Size())
	return &Found{Reader: r, Place: place, Size: r.Size(), Kind: kind}, err
}

// ExtractModule is FindModule into the file f, whose contents it replaces and whose
// position it moves; memory does not depend on the module's size. place says where
// the module was.
func ExtractModule(ctx context.Context, p content.Provider, image *Image, s Source, f *os.File) (place string, err error) {
	return findModule(ctx, p, image, s, func(r io.Reader) error {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(f, r)
		return err
	})
}

// findModule hands the module's bytes to keep, more than once where a later entry of
// a layer replaces an earlier one.
func findModule(ctx context.Context, p content.Provider, image *Image, s Source, keep func(io.Reader) error) (place string, err error) {
	if s.Layer != nil {
		r, err := OpenModule(ctx, p, *s.Layer)
		if err != nil {
			return "", err
		}
		return "layer " + s.Layer.Digest.String(), closed(r, keep(r))
	}
	tried := s.Candidates(image.Config.WorkingDir, image.Config.Env)
	for _, name := range tried {
		for range maxLinks {
			file, link, err := readFile(ctx, p, image, name, keep)
			if err != nil {
				return "", err
			}
			if file {
				return name, nil
			}
			if link == "" {
				break
			}
			name = link
		}
	}
	return "", missing("command "+s.Path, "name a file of the image", "the image has none of %s", strings.Join(tried, ", "))
}

// readFile looks for a file from the top layer down: that it is one and was kept, or
// where it links to, or neither when it is not there.
func readFile(ctx context.Context, p content.Provider, image *Image, name string, keep func(io.Reader) error) (file bool, link string, err error) {
	for _, l := range slices.Backward(image.Layers) {
		file, link, gone, err := scanLayer(ctx, p, l, name, keep)
		if err != nil {
			return false, "", fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		if file || link != "" || gone {
			return file, link, nil
		}
	}
	return false, "", nil
}

func scanLayer(ctx context.Context, p content.Provider, d ocispec.Descriptor, name string, keep func(io.Reader) error) (file bool, link string, gone bool, err error) {
	blob, err := OpenBlob(ctx, p, d, maxBlob)
	if err != nil {
		return false, "", false, err
	}
	z, err := decompress(layerCompression(d.MediaType), &ctxReader{ctx, blob})
	if err != nil {
		return false, "", false, closed(blob, err)
	}
	file, link, gone, err = scanTar(z, name, keep)
	z.Close()
	return file, link, gone, closed(blob, err)
}

func scanTar(r io.Reader, name string, keep func(io.Reader) error) (file bool, link string, gone bool, err error) {
	t := tar.NewReader(&bounded{r: r, left: maxBlob})
	whiteout := path.Join(path.Dir(name), ".wh."+path.Base(name))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return file, link, gone, nil
		}
		if err != nil {
			return false, "", false, err
		}
		switch path.Join("/", h.Name) {
		case whiteout:
			gone = true
		case name:
			switch h.Typeflag {
			case tar.TypeReg:
				file, link = true, ""
				if err := keep(io.LimitReader(t, MaxModuleSize+1)); err != nil {
					return false, "", false, err
				}
			case tar.TypeLink:
				file, link = false, path.Join("/", h.Linkname)
			case tar.TypeSymlink:
				file, link = false, h.Linkname
				if !path.IsAbs(link) {
					link = path.Join(path.Dir(name), link)
				}
				link = path.Clean(link)
			}
		}
	}
}
