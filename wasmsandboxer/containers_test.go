package wasmsandboxer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/mnt"
	"blazar/wasmsandboxer/host"
)

// records stands in for containerd's records: what the test put there.
type records struct {
	mu  sync.Mutex // guards all
	all map[string]record
}

type record struct {
	sandbox string
	spec    *specs.Spec
	upper   string // holds the directories of an overlay
}

var _ host.Containers = (*records)(nil)

func (r *records) put(id string, rec record) error {
	for _, d := range []string{"upper", "work"} {
		if err := os.MkdirAll(filepath.Join(rec.upper, d), 0o755); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]record{}
	}
	r.all[id] = rec
	return nil
}

func (r *records) get(id string) (record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.all[id]
	if !ok {
		return rec, fmt.Errorf("container %s: %w", id, errdefs.ErrNotFound)
	}
	return rec, nil
}

func (r *records) Container(_ context.Context, _, id string) (*host.Container, error) {
	rec, err := r.get(id)
	if err != nil {
		return nil, err
	}
	return &host.Container{ID: id, SandboxID: rec.sandbox, Spec: rec.spec, SnapshotKey: id}, nil
}

func (r *records) Rootfs(_ context.Context, _ string, c *host.Container) ([]mnt.Mount, error) {
	rec, err := r.get(c.ID)
	if err != nil {
		return nil, err
	}
	return []mnt.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"lowerdir=" + built.image,
		"upperdir=" + filepath.Join(rec.upper, "upper"), "workdir=" + filepath.Join(rec.upper, "work"),
	}}}, nil
}

func (r *records) Image(_ context.Context, _, name string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, fmt.Errorf("image %s: %w", name, errdefs.ErrNotFound)
}

func (r *records) Content(string) content.Provider { return nil }

// events counts what pods publish, by topic.
type events struct {
	mu  sync.Mutex // guards all
	all map[string]int
}

var _ host.Forwarder = (*events)(nil)

// forwarded are the events of all tests.
var forwarded events

func (e *events) count(topic string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[topic]
}

func (e *events) Forward(_ context.Context, _, topic, _ string, _ []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]int{}
	}
	e.all[topic]++
	return nil
}
