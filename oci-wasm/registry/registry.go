// Package registry moves wasm images between OCI registries and whatever else is
// a content.Provider. It is apart from package ociwasm so that processes which only
// read images do not carry an HTTP client.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	orascontent "oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	ociwasm "blazar/oci-wasm"
)

// Options says how to reach a registry.
type Options struct {
	// PlainHTTP speaks HTTP also to registries that are not on this machine.
	PlainHTTP bool
}

// Repository is one image in a registry. It is a content.Provider whose readers
// read forward only. Every call lives no longer than its context. Safe for
// concurrent use.
type Repository struct {
	repo *remote.Repository
}

var _ content.Provider = (*Repository)(nil)

// Open takes a reference such as registry.example:5000/app:v1 or …@sha256:…; without
// tag and digest it means latest. Nothing is contacted yet. Credentials are those
// that `docker login` stored.
func Open(ref string, o Options) (*Repository, error) {
	repo, err := remote.NewRepository(ref)
	if err != nil {
		return nil, fmt.Errorf("image reference %q must be like registry.example/app:v1: %w: %w", ref, err, errdefs.ErrInvalidArgument)
	}
	if repo.Reference.Reference == "" {
		repo.Reference.Reference = "latest"
	}
	repo.PlainHTTP = o.PlainHTTP || isLoopback(repo.Reference.Host())
	client := &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Header: http.Header{"User-Agent": {"blazar"}}}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the registry credentials that docker login stores: %w", err)
	}
	client.Credential = credentials.Credential(store)
	repo.Client = client
	return &Repository{repo: repo}, nil
}

// isLoopback decides for HTTP as Docker does: a registry on this machine seldom
// has a certificate.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name is the full reference.
func (r *Repository) Name() string { return r.repo.Reference.String() }

// Resolve asks what the reference means.
func (r *Repository) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	d, err := r.repo.Resolve(ctx, r.repo.Reference.Reference)
	if err != nil {
		return d, fmt.Errorf("resolving %s: %w", r.Name(), kind(err))
	}
	return d, nil
}

// ReaderAt implements content.Provider.
func (r *Repository) ReaderAt(ctx context.Context, d ocispec.Descriptor) (content.ReaderAt, error) {
	rc, err := r.repo.Fetch(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("fetching %s of %s: %w", d.Digest, r.Name(), kind(err))
	}
	return &forward{rc: rc, size: d.Size}, nil
}

// Push sends the image d with all that it refers to, and gives it the reference's
// tag.
func (r *Repository) Push(ctx context.Context, p content.Provider, d ocispec.Descriptor) error {
	d.Annotations, d.Platform = nil, nil // they name the image in a layout, no more
	if err := oras.CopyGraph(ctx, source{p}, r.repo, d, oras.DefaultCopyGraphOptions); err != nil {
		return fmt.Errorf("pushing %s: %w", r.Name(), kind(err))
	}
	if err := r.repo.Tag(ctx, d, r.repo.Reference.Reference); err != nil {
		return fmt.Errorf("tagging %s: %w", r.Name(), kind(err))
	}
	return nil
}

// kind translates oras's own.
func kind(err error) error {
	if errors.Is(err, errdef.ErrNotFound) {
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	return err
}

// source lets oras read a provider.
type source struct{ p content.Provider }

var _ orascontent.ReadOnlyStorage = source{}

// Fetch implements orascontent.ReadOnlyStorage.
func (s source) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	return ociwasm.OpenBlob(ctx, s.p, d, d.Size)
}

// Exists implements orascontent.ReadOnlyStorage.
func (s source) Exists(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	r, err := s.p.ReaderAt(ctx, d)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}

// forward makes a stream a content.ReaderAt for those who read forward.
type forward struct {
	rc       io.ReadCloser
	at, size int64
}

// ReadAt implements io.ReaderAt.
func (f *forward) ReadAt(p []byte, off int64) (int, error) {
	if off != f.at {
		return 0, fmt.Errorf("a blob in a registry is read forward only, not at %d after %d: %w", off, f.at, errdefs.ErrNotImplemented)
	}
	n, err := io.ReadFull(f.rc, p)
	f.at += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Size implements content.ReaderAt.
func (f *forward) Size() int64 { return f.size }

// Close implements io.Closer.
func (f *forward) Close() error { return f.rc.Close() }
