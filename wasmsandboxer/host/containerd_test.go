package host

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

// records is a containerd that counts what it is asked.
type records struct {
	containersapi.UnimplementedContainersServer
	containers map[string]*containersapi.Container

	mu    sync.Mutex
	asked []string // snapshotter and key of each question for mounts
}

func (r *records) Get(_ context.Context, q *containersapi.GetContainerRequest) (*containersapi.GetContainerResponse, error) {
	c, ok := r.containers[q.GetID()]
	if !ok {
		return nil, fmt.Errorf("container %s is not here", q.GetID())
	}
	return &containersapi.GetContainerResponse{Container: c}, nil
}

// mounts is its other service.
type mounts struct {
	snapshotsapi.UnimplementedSnapshotsServer
	records *records
}

func (m mounts) Mounts(_ context.Context, q *snapshotsapi.MountsRequest) (*snapshotsapi.MountsResponse, error) {
	r := m.records
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, q.GetSnapshotter()+"/"+q.GetKey())
	return &snapshotsapi.MountsResponse{Mounts: []*types.Mount{{Source: q.GetSnapshotter() + "/" + q.GetKey()}}}, nil
}

func (r *records) takeAsked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.asked)
	r.asked = nil
	return n
}

// The root file system of a container like those before it is asked for together with
// its record; another one's is never taken for it.
func TestRootfsGuessed(t *testing.T) {
	record := func(id, snapshotter, key string) *containersapi.Container {
		return &containersapi.Container{ID: id, Snapshotter: snapshotter, SnapshotKey: key, Spec: &anypb.Any{Value: []byte("{}")}}
	}
	r := &records{containers: map[string]*containersapi.Container{
		"first": record("first", "overlayfs", "first"), "second": record("second", "overlayfs", "second"),
		"native": record("native", "native", "native"), "ctr": record("ctr", "overlayfs", "elsewhere"),
	}}
	socket := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	containersapi.RegisterContainersServer(server, r)
	snapshotsapi.RegisterSnapshotsServer(server, mounts{records: r})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c, err := NewContainerd(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // everything was answered

	for _, want := range []struct {
		id, root      string
		before, after int // questions with the record, and for the root afterwards
	}{
		{"first", "overlayfs/first", 0, 1},
		{"second", "overlayfs/second", 1, 0},
		{"native", "native/native", 1, 1}, // guessed wrong
		{"ctr", "overlayfs/elsewhere", 1, 1},
		{"native", "native/native", 1, 0},
	} {
		rec, err := c.Container(t.Context(), "k8s.io", want.id)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.takeAsked(); n != want.before {
			t.Errorf("%s: asked for %d root file systems with the record, want %d", want.id, n, want.before)
		}
		all, err := c.Rootfs(t.Context(), "k8s.io", rec)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.takeAsked(); n != want.after || len(all) != 1 || all[0].Source != want.root {
			t.Errorf("%s: %v after %d questions, want %s after %d", want.id, all, n, want.root, want.after)
		}
	}
	if _, err := c.Container(t.Context(), "k8s.io", "none"); err == nil {
		t.Error("a container that is not there")
	}
}

func TestImageDigest(t *testing.T) {
	const d = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for text, want := range map[string]string{
		`{"Version":"v1","Metadata":{"ID":"x","ImageDigest":"` + d + `"}}`: d,
		`{"Version":"v2","Metadata":{"ImageDigest":"` + d + `"}}`:          "",
		`{"Version":"v1","Metadata":{"ImageDigest":"latest"}}`:             "",
		`{"Version":"v1","Metadata":{}}`:                                   "",
		`not json`:                                                         "",
		``:                                                                 "",
	} {
		if got := imageDigest([]byte(text)); string(got) != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
