package ociwasm

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// UnpackLimits bound a root file system.
type UnpackLimits struct {
	// Bytes over all layers, uncompressed. 0: 8 GiB.
	Bytes int64
	// Files over all layers. 0: 500,000.
	Files int
}

// UnpackRootfs unpacks the image's layers into the existing, empty directory dir,
// which nobody else may write to. Nothing is written outside of it, whatever the
// layers hold; devices are left out, and so are the bits that change the user. Every
// file belongs to the caller. On an error dir holds a part and is the caller's to
// remove.
func UnpackRootfs(ctx context.Context, p content.Provider, image *Image, dir string, l UnpackLimits) error {
	if l.Bytes <= 0 {
		l.Bytes = 8 << 30
	}
	if l.Files <= 0 {
		l.Files = 500_000
	}
	// Absolute links of the image are meant below dir, which apply sees to.
	if info, err := os.Lstat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no directory: %w", dir, errdefs.ErrInvalidArgument)
	}
	u := &unpacker{limits: l}
	for _, layer := range image.Layers {
		if err := u.layer(ctx, p, layer, dir); err != nil {
			return fmt.Errorf("unpacking layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

type unpacker struct {
	limits UnpackLimits
	bytes  int64
	files  int
}

func (u *unpacker) layer(ctx context.Context, p content.Provider, d ocispec.Descriptor, dir string) error {
	blob, err := OpenBlob(ctx, p, d, maxBlob)
	if err != nil {
		return err
	}
	r, err := decompress(layerCompression(d.MediaType), &ctxReader{ctx, blob})
	if err != nil {
		return closed(blob, err)
	}
	left := &bounded{r: r, left: u.limits.Bytes - u.bytes + int64(u.limits.Files)*1024}
	_, err = archive.Apply(ctx, dir, left, archive.WithNoSameOwner(), archive.WithFilter(u.filter))
	r.Close()
	if err == nil {
		// To the end, where the digest is compared.
		_, err = io.Copy(io.Discard, blob)
	}
	return closed(blob, err)
}

// filter counts, and keeps out what a guest has no use for.
func (u *unpacker) filter(h *tar.Header) (bool, error) {
	u.files++
	u.bytes += max(0, h.Size) // what it says it becomes, however sparse the tar
	if u.files > u.limits.Files || u.bytes > u.limits.Bytes {
		return false, fmt.Errorf("the image has more than %d files or %d bytes: %w", u.limits.Files, u.limits.Bytes, errdefs.ErrResourceExhausted)
	}
	h.Mode &^= 0o6000
	// Whoever unpacks it owns it, must be able to read it like the root of a container,
	// and to remove it.
	h.Mode |= 0o400
	if h.Typeflag == tar.TypeDir {
		h.Mode |= 0o700
	}
	for name := range h.PAXRecords { // labels and capabilities of the system it was made on
		if strings.HasPrefix(name, "SCHILY.xattr.") {
			delete(h.PAXRecords, name)
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeLink, tar.TypeSymlink:
		return true, nil
	}
	return false, nil
}

// bounded fails, unlike io.LimitReader, where it ends too late.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the layer is larger than allowed: %w", errdefs.ErrResourceExhausted)
	}
	return n, err
}

type decompressor struct {
	io.Reader
	close func()
}

func (d decompressor) Close() { d.close() }

func decompress(how string, r io.Reader) (*decompressor, error) {
	if how == "detect" {
		b := bufio.NewReader(r)
		head, _ := b.Peek(2) // too short is found when it is read
		r, how = b, "none"
		if bytes.Equal(head, []byte{0x1f, 0x8b}) {
			how = "gzip"
		}
	}
	switch how {
	case "none":
		return &decompressor{r, func() {}}, nil
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		return &decompressor{z, func() {}}, nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(128<<20), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		return &decompressor{z, z.Close}, nil
	}
	return nil, fmt.Errorf("compression %q: %w", how, errdefs.ErrNotImplemented)
}
