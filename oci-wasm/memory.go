package ociwasm

import (
	"bytes"
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Memory is a content.Provider of blobs in memory. Safe for concurrent reading.
type Memory map[digest.Digest][]byte

var _ content.Provider = Memory(nil)

// ReaderAt implements content.Provider.
func (m Memory) ReaderAt(_ context.Context, d ocispec.Descriptor) (content.ReaderAt, error) {
	data, ok := m[d.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, errdefs.ErrNotFound)
	}
	return memoryReader{bytes.NewReader(data)}, nil
}

// Put adds a blob and describes it; not while others read.
func (m Memory) Put(mediaType string, data []byte) ocispec.Descriptor { return m.add(mediaType, data) }

func (m Memory) add(mediaType string, data []byte) ocispec.Descriptor {
	d := digest.FromBytes(data)
	m[d] = data
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func (m Memory) addJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	data, err := marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return m.add(mediaType, data), nil
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }
