package ociwasm

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxBlob bounds one blob that is copied, in bytes.
const maxBlob = 16 << 30

// WriteTar writes the images that roots are, with all they refer to, as a tar of an
// OCI layout that `ctr images import` and OpenTar read. The same images give the
// same bytes. The descriptors' annotations name the images; see Named.
func WriteTar(ctx context.Context, w io.Writer, p content.Provider, roots ...ocispec.Descriptor) error {
	t := &tarSink{w: tar.NewWriter(w)}
	if err := writeLayout(ctx, t, p, roots); err != nil {
		return err
	}
	return t.w.Close()
}

// WriteDir is WriteTar into a directory, which is made.
func WriteDir(ctx context.Context, dir string, p content.Provider, roots ...ocispec.Descriptor) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	return closed(root, writeLayout(ctx, dirSink{root}, p, roots))
}

// Named gives an image the name ref for an importer; an empty one leaves it without.
func Named(d ocispec.Descriptor, ref string) (ocispec.Descriptor, error) {
	d.Annotations = nil
	if ref == "" {
		return d, nil
	}
	var err error
	d.Annotations, err = nameAnnotations(ref)
	return d, err
}

type sink interface {
	put(name string, size int64, r io.Reader) error
}

func writeLayout(ctx context.Context, s sink, p content.Provider, roots []ocispec.Descriptor) error {
	all, err := blobs(ctx, p, roots)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	for _, d := range all {
		r, err := OpenBlob(ctx, p, d, maxBlob)
		if err != nil {
			return err
		}
		name := path.Join(ocispec.ImageBlobsDir, d.Digest.Algorithm().String(), d.Digest.Encoded())
		if err := closed(r, s.put(name, d.Size, &ctxReader{ctx, r})); err != nil {
			return fmt.Errorf("copying blob %s: %w", d.Digest, err)
		}
	}
	// No platform in the index: containerd's import would leave out what does not
	// match the host's.
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, r := range roots {
		r.Platform = nil
		index.Manifests = append(index.Manifests, r)
	}
	if err := putJSON(s, ocispec.ImageIndexFile, index); err != nil {
		return err
	}
	return putJSON(s, ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

func putJSON(s sink, name string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return s.put(name, int64(len(data)), bytes.NewReader(data))
}

// tarSink and dirSink are where a layout goes.
type tarSink struct{ w *tar.Writer }

func (t *tarSink) put(name string, size int64, r io.Reader) error {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := t.w.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(t.w, r)
	return err
}

type dirSink struct{ root *os.Root }

func (d dirSink) put(name string, _ int64, r io.Reader) error {
	if err := d.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return closed(f, err)
}
