package ociwasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxJSON bounds an index, a manifest and a config, in bytes; containerd's and the
// registries' own limit is 4 MiB too.
const maxJSON = 4 << 20

// readJSON reads a whole blob within maxJSON, checks its digest and decodes it.
func readJSON(ctx context.Context, p content.Provider, what string, d ocispec.Descriptor, into any) error {
	subject := fmt.Sprintf("%s %s", what, d.Digest)
	r, err := OpenBlob(ctx, p, d, maxJSON)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	data, err := io.ReadAll(r)
	if err = closed(r, err); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return invalid(subject, "build the image again", "it is no valid JSON of type %s: %v", d.MediaType, err)
	}
	return nil
}

// OpenBlob reads a blob of at most limit bytes. The reader fails at the end, with
// errdefs.ErrInvalidArgument instead of io.EOF, when the bytes do not have the
// descriptor's size and digest; so use nothing of it before io.EOF was seen.
func OpenBlob(ctx context.Context, p content.Provider, d ocispec.Descriptor, limit int64) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w: %w", d.Digest, err, errdefs.ErrInvalidArgument)
	}
	if d.Size < 0 || d.Size > limit {
		return nil, fmt.Errorf("blob %s says it has %d bytes, the limit is %d: %w", d.Digest, d.Size, limit, errdefs.ErrInvalidArgument)
	}
	ra, err := p.ReaderAt(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", d.Digest, err)
	}
	if n := ra.Size(); n != d.Size {
		_ = ra.Close() // the size is the error to tell
		return nil, fmt.Errorf("blob %s has %d bytes where %d were announced: %w", d.Digest, n, d.Size, errdefs.ErrInvalidArgument)
	}
	return &verified{r: io.NewSectionReader(ra, 0, d.Size), c: ra, v: d.Digest.Verifier(), want: d.Digest}, nil
}

// OpenModule reads a layer that is a module; see OpenBlob for what must be heeded.
func OpenModule(ctx context.Context, p content.Provider, d ocispec.Descriptor) (io.ReadCloser, error) {
	return OpenBlob(ctx, p, d, MaxModuleSize)
}

// CheckLayer is CheckModule for a layer that is a module, without reading it whole.
func CheckLayer(ctx context.Context, p content.Provider, d ocispec.Descriptor, a Abilities) error {
	ra, err := p.ReaderAt(ctx, d)
	if err != nil {
		return fmt.Errorf("opening layer %s: %w", d.Digest, err)
	}
	return closed(ra, CheckModule("layer "+d.Digest.String(), ra, ra.Size(), a))
}

type verified struct {
	r    io.Reader
	c    io.Closer
	v    digest.Verifier
	want digest.Digest
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	_, _ = v.v.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) && !v.v.Verified() {
		err = fmt.Errorf("the bytes do not have the digest %s: %w", v.want, errdefs.ErrInvalidArgument)
	}
	return n, err
}

func (v *verified) Close() error { return v.c.Close() }

// closed closes c and keeps the first error.
func closed(c io.Closer, err error) error {
	if e := c.Close(); err == nil {
		err = e
	}
	return err
}
