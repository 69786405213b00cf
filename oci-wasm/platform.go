package ociwasm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Order ranks the platforms of an index.
type Order int

const (
	// WasmFirst is wasip1/wasm, wasi/wasm, linux/<this architecture>, then an entry
	// without a platform, then any other wasm.
	WasmFirst Order = iota
	// LikeContainerd puts linux/<this architecture> first: that is the entry whose
	// root file system and config containerd's CRI hands to a container, so whoever
	// reads the module from that root file system must look at the same entry.
	LikeContainerd
)

// Option changes what Inspect does.
type Option func(*options)

type options struct{ order Order }

// WithOrder sets the order of platforms; WasmFirst without it.
func WithOrder(o Order) Option { return func(p *options) { p.order = o } }

const (
	// maxDepth bounds indexes within indexes.
	maxDepth = 3
	// maxEntries bounds the entries of one index.
	maxEntries = 1000
)

type manifest struct {
	desc ocispec.Descriptor
	body *ocispec.Manifest
}

// resolve follows indexes to one manifest: the best entry whose blob is there.
func resolve(ctx context.Context, p content.Provider, desc ocispec.Descriptor, o options) (*manifest, error) {
	return resolveDepth(ctx, p, desc, o, 0)
}

func resolveDepth(ctx context.Context, p content.Provider, desc ocispec.Descriptor, o options, depth int) (*manifest, error) {
	switch {
	case isManifest(desc.MediaType):
		var m ocispec.Manifest
		if err := readJSON(ctx, p, "manifest", desc, &m); err != nil {
			return nil, err
		}
		if m.MediaType != "" && m.MediaType != desc.MediaType {
			return nil, invalid("manifest "+desc.Digest.String(), "build the image again", "it is of type %q where %q was announced", m.MediaType, desc.MediaType)
		}
		return &manifest{desc: desc, body: &m}, nil
	case !isIndex(desc.MediaType):
		return nil, unsupported("image "+desc.Digest.String(), "use an OCI image, index or artifact", "it is of the unknown type %q", desc.MediaType)
	case depth == maxDepth:
		return nil, invalid("index "+desc.Digest.String(), "build a flat index", "indexes are nested more than %d deep", maxDepth)
	}
	var index ocispec.Index
	if err := readJSON(ctx, p, "index", desc, &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) > maxEntries {
		return nil, invalid("index "+desc.Digest.String(), "build it with fewer entries", "it has %d entries, the limit is %d", len(index.Manifests), maxEntries)
	}
	var gone error
	for _, d := range candidates(index.Manifests, o.order) {
		m, err := resolveDepth(ctx, p, d, o, depth+1)
		if err == nil || !absent(err) {
			return m, err
		}
		gone = err
	}
	if gone != nil {
		return nil, fmt.Errorf("no usable entry of index %s was pulled: %w", desc.Digest, gone)
	}
	return nil, unsupported("index "+desc.Digest.String(), "build it for wasip1/wasm or "+platforms.Format(platforms.DefaultSpec()),
		"none of its platforms can run here (%s)", platformList(index.Manifests))
}

// candidates are the entries that can run here, best first.
func candidates(entries []ocispec.Descriptor, order Order) []ocispec.Descriptor {
	type ranked struct {
		d    ocispec.Descriptor
		rank int
	}
	host := platforms.Default()
	var rs []ranked
	for _, d := range entries {
		if !isManifest(d.MediaType) && !isIndex(d.MediaType) || d.Annotations["vnd.docker.reference.type"] != "" {
			continue // attestations and the like
		}
		rank := -1
		switch {
		case d.Platform == nil || d.Platform.OS == "" && d.Platform.Architecture == "":
			rank = 4
		case d.Platform.OS == "wasip1" && isWasmPlatform(*d.Platform):
			rank = 1
		case d.Platform.OS == "wasi":
			rank = 2
		case isWasmPlatform(*d.Platform):
			rank = 5
		case host.Match(*d.Platform):
			rank = 3
			if order == LikeContainerd {
				rank = 0
			}
		}
		if rank >= 0 {
			rs = append(rs, ranked{d, rank})
		}
	}
	// Stable, and among several linux entries the closest variant first.
	slices.SortStableFunc(rs, func(a, b ranked) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		if a.d.Platform != nil && b.d.Platform != nil && host.Match(*a.d.Platform) {
			switch {
			case host.Less(*a.d.Platform, *b.d.Platform):
				return -1
			case host.Less(*b.d.Platform, *a.d.Platform):
				return 1
			}
		}
		return 0
	})
	out := make([]ocispec.Descriptor, len(rs))
	for i, r := range rs {
		out[i] = r.d
	}
	return out
}

func isWasmPlatform(p ocispec.Platform) bool {
	return p.Architecture == "wasm" || p.Architecture == "wasm32" || p.OS == "wasi" || p.OS == "wasip1" || p.OS == "wasip2"
}

func formatPlatform(p ocispec.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return "unknown"
	}
	return p.OS + "/" + p.Architecture
}

func platformList(entries []ocispec.Descriptor) string {
	var names []string
	for _, d := range entries {
		name := "unknown"
		if d.Platform != nil {
			name = formatPlatform(*d.Platform)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return "it has none"
	}
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return strings.Join(names, ", ")
}
