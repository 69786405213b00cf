package ociwasm

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxTarEntries bounds the entries of a layout's tar.
const maxTarEntries = 100000

// Layout is an OCI layout that is being read: a directory or a tar, as `docker
// buildx`, `ctr images export`, skopeo and WriteTar make them. It is a
// content.Provider, safe for concurrent use until Close.
type Layout struct {
	roots []ocispec.Descriptor
	open  func(name string) (content.ReaderAt, error)
	close func() error
}

var _ content.Provider = (*Layout)(nil)

// OpenLayout opens a directory or an uncompressed tar; what is neither is a
// *Refusal.
func OpenLayout(ctx context.Context, name string) (*Layout, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openDir(ctx, name)
	}
	return OpenTar(ctx, name)
}

// Images lists the images, never empty; ImageName tells their names.
func (l *Layout) Images() []ocispec.Descriptor { return l.roots }

// ImageName is the name an image has in a layout, or "".
func ImageName(d ocispec.Descriptor) string {
	if n := d.Annotations[annotationImageName]; n != "" {
		return n
	}
	return d.Annotations[ocispec.AnnotationRefName]
}

// Image returns the image of that name, or the only one when the name is empty.
func (l *Layout) Image(name string) (ocispec.Descriptor, error) {
	var names []string
	for _, d := range l.roots {
		n := ImageName(d)
		if name == n && n != "" || name == d.Digest.String() || name == "" && len(l.roots) == 1 {
			return d, nil
		}
		names = append(names, fmt.Sprintf("%s (%s)", n, d.Digest))
	}
	if name == "" {
		return ocispec.Descriptor{}, fmt.Errorf("several images, say which: %s: %w", strings.Join(names, ", "), errdefs.ErrInvalidArgument)
	}
	return ocispec.Descriptor{}, fmt.Errorf("no image %q among %s: %w", name, strings.Join(names, ", "), errdefs.ErrNotFound)
}

// Close closes what it was read from.
func (l *Layout) Close() error { return l.close() }

// ReaderAt implements content.Provider.
func (l *Layout) ReaderAt(_ context.Context, d ocispec.Descriptor) (content.ReaderAt, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w: %w", d.Digest, err, errdefs.ErrInvalidArgument)
	}
	return l.open(blobName(d.Digest))
}

func blobName(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// OpenTar opens an uncompressed tar of an OCI layout. The tar is indexed once;
// blobs are then read from their places in it.
func OpenTar(_ context.Context, name string) (*Layout, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	entries, err := indexTar(name, f)
	if err != nil {
		return nil, closed(f, err)
	}
	l := &Layout{close: f.Close, open: func(blob string) (content.ReaderAt, error) {
		e, ok := entries[blob]
		if !ok {
			return nil, fmt.Errorf("%s is not in %s: %w", blob, name, errdefs.ErrNotFound)
		}
		return section{io.NewSectionReader(f, e.offset, e.size)}, nil
	}}
	if err := l.readIndex(name); err != nil {
		return nil, closed(f, err)
	}
	return l, nil
}

type tarEntry struct{ offset, size int64 }

type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

func indexTar(name string, f *os.File) (map[string]tarEntry, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, invalid(name, "save the image to a file first", "it is no regular file")
	}
	entries := map[string]tarEntry{}
	r := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, noTar(name, f, info.Size(), err)
		}
		if n == maxTarEntries {
			return nil, invalid(name, "use the tar of one image", "it has more than %d entries", maxTarEntries)
		}
		if h.Typeflag != tar.TypeReg || len(h.PAXRecords) > 0 && h.PAXRecords["GNU.sparse.major"] != "" {
			continue
		}
		// The reader has consumed the header and nothing else.
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if h.Size > info.Size()-at {
			return nil, invalid(name, "download it again", "it is truncated within %s", h.Name)
		}
		entries[path.Clean(h.Name)] = tarEntry{offset: at, size: h.Size}
	}
}

// noTar says what it is instead.
func noTar(name string, f *os.File, size int64, cause error) error {
	kind, detail, err := sniff(f, size)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case kind == KindArchive && detail != "tar":
		return unsupported(name, "uncompress it first", "it is compressed with %s", detail)
	case kind == KindModule || kind == KindComponent:
		return unsupported(name, "pack it with blazar image build", "it is a bare %s", kind)
	}
	return invalid(name, "save the image as the tar of an OCI layout", "it is no readable tar: %v", cause)
}

// readIndex finds the images.
func (l *Layout) readIndex(name string) error {
	read := func(file string, into any) error {
		r, err := l.open(file)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(io.NewSectionReader(r, 0, min(r.Size(), maxJSON)))
		if err := closed(r, err); err != nil {
			return err
		}
		return json.NewDecoder(bytes.NewReader(data)).Decode(into)
	}
	var layout ocispec.ImageLayout
	var index ocispec.Index
	if err := read(ocispec.ImageLayoutFile, &layout); err != nil || layout.Version != ocispec.ImageLayoutVersion {
		return invalid(name, "save the image as an OCI layout (ctr images export, docker buildx build -o type=oci, skopeo copy … oci-archive:)",
			"it has no %s of version %s", ocispec.ImageLayoutFile, ocispec.ImageLayoutVersion)
	}
	if err := read(ocispec.ImageIndexFile, &index); err != nil {
		return invalid(name, "save the image again", "its %s cannot be read: %v", ocispec.ImageIndexFile, err)
	}
	for _, d := range index.Manifests {
		if isManifest(d.MediaType) || isIndex(d.MediaType) {
			l.roots = append(l.roots, d)
		}
	}
	if len(l.roots) == 0 || len(l.roots) > maxEntries {
		return invalid(name, "save the image again", "its %s lists %d images", ocispec.ImageIndexFile, len(l.roots))
	}
	return nil
}
