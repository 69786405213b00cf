package ociwasm

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxBlobs bounds the blobs of one image, over all its manifests.
const maxBlobs = 20000

// blobs lists every blob that roots lead to, each once, what is referred to before
// what refers to it. An entry of an index that is not there is left out, as when
// only some platforms were pulled.
func blobs(ctx context.Context, p content.Provider, roots []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	g := graph{ctx: ctx, p: p, seen: map[digest.Digest]bool{}}
	for _, r := range roots {
		if err := g.visit(r, 0); err != nil {
			return nil, err
		}
	}
	return g.out, nil
}

type graph struct {
	ctx  context.Context
	p    content.Provider
	seen map[digest.Digest]bool
	out  []ocispec.Descriptor
}

func (g *graph) visit(d ocispec.Descriptor, depth int) error {
	switch {
	case g.seen[d.Digest]:
		return nil
	case len(g.seen) >= maxBlobs:
		return fmt.Errorf("the image has more than %d blobs: %w", maxBlobs, errdefs.ErrInvalidArgument)
	case depth > maxDepth+1:
		return invalid("index "+d.Digest.String(), "build a flat index", "indexes are nested more than %d deep", maxDepth)
	}
	g.seen[d.Digest] = true
	var children []ocispec.Descriptor
	switch {
	case isManifest(d.MediaType):
		var m ocispec.Manifest
		if err := readJSON(g.ctx, g.p, "manifest", d, &m); err != nil {
			return err
		}
		children = append([]ocispec.Descriptor{m.Config}, m.Layers...)
	case isIndex(d.MediaType):
		var index ocispec.Index
		if err := readJSON(g.ctx, g.p, "index", d, &index); err != nil {
			return err
		}
		children = index.Manifests
	}
	for _, c := range children {
		err := g.visit(c, depth+1)
		if err != nil && isIndex(d.MediaType) && absent(err) {
			continue
		}
		if err != nil {
			return err
		}
	}
	g.out = append(g.out, d)
	return nil
}
