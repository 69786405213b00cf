package ociwasm

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	if s.Layer != nil {
		r, err := OpenModule(ctx, p, *s.Layer)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err = closed(r, err); err != nil {
			return nil, err
		}
		return found("layer "+s.Layer.Digest.String(), data)
	}
	tried := s.Candidates(image.Config.WorkingDir, image.Config.Env)
	for _, name := range tried {
		for range maxLinks {
			data, link, err := readFile(ctx, p, image, name)
			if err != nil {
				return nil, err
			}
			if data != nil {
				return found(name, data)
			}
			if link == "" {
				break
			}
			name = link
		}
	}
	return nil, missing("command "+s.Path, "name a file of the image", "the image has none of %s", strings.Join(tried, ", "))
}

func found(place string, data []byte) (*Found, error) {
	r := bytes.NewReader(data)
	kind, err := Sniff(r, r.Size())
	return &Found{Reader: r, Place: place, Size: r.Size(), Kind: kind}, err
}

// readFile looks for a file from the top layer down: its contents (not nil), or
// where it links to, or neither when it is not there.
func readFile(ctx context.Context, p content.Provider, image *Image, name string) (data []byte, link string, err error) {
	for _, l := range slices.Backward(image.Layers) {
		data, link, gone, err := scanLayer(ctx, p, l, name)
		if err != nil {
			return nil, "", fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		if data != nil || link != "" || gone {
			return data, link, nil
		}
	}
	return nil, "", nil
}

func scanLayer(ctx context.Context, p content.Provider, d ocispec.Descriptor, name string) (data []byte, link string, gone bool, err error) {
	blob, err := OpenBlob(ctx, p, d, maxBlob)
	if err != nil {
		return nil, "", false, err
	}
	z, err := decompress(layerCompression(d.MediaType), &ctxReader{ctx, blob})
	if err != nil {
		return nil, "", false, closed(blob, err)
	}
	data, link, gone, err = scanTar(z, name)
	z.Close()
	return data, link, gone, closed(blob, err)
}

func scanTar(r io.Reader, name string) (data []byte, link string, gone bool, err error) {
	t := tar.NewReader(&bounded{r: r, left: maxBlob})
	whiteout := path.Join(path.Dir(name), ".wh."+path.Base(name))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return data, link, gone, nil
		}
		if err != nil {
			return nil, "", false, err
		}
		switch path.Join("/", h.Name) {
		case whiteout:
			gone = true
		case name:
			switch h.Typeflag {
			case tar.TypeReg:
				link = ""
				if data, err = io.ReadAll(io.LimitReader(t, MaxModuleSize+1)); err != nil {
					return nil, "", false, err
				}
			case tar.TypeLink:
				data, link = nil, path.Join("/", h.Linkname)
			case tar.TypeSymlink:
				data, link = nil, h.Linkname
				if !path.IsAbs(link) {
					link = path.Join(path.Dir(name), link)
				}
				link = path.Clean(link)
			}
		}
	}
}
