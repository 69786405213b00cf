package intask

import (
	"context"
	"errors"
	"fmt"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"blazar/bench/client"
	"blazar/bench/internal/report"
	"blazar/internal/node"
)

const stepTime = "time"

// steps measures what a Create cannot do without, each by itself: the trips to
// containerd that the host service makes, and a request to the Task API that finds nothing to do.
func steps(ctx context.Context, r *taskRunner, n int) (t *report.Table, err error) {
	t = &report.Table{
		Name: "steps", Title: "Steps of a Create, each by itself",
		Columns: []report.Column{report.Nanoseconds.Column(stepTime)},
	}
	id, err := r.pod.CreateContainer(ctx, node.Container("steps", r.guest.Image()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.pod.RemoveContainer(context.WithoutCancel(ctx), id)) }()
	conn, err := r.client.Node.CRI() // containerd's own services are on the same socket
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx = namespaces.WithNamespace(ctx, client.Namespace)
	containers, snapshots, images := containersapi.NewContainersClient(conn), snapshotsapi.NewSnapshotsClient(conn), imagesapi.NewImagesClient(conn)
	record, err := containers.Get(ctx, &containersapi.GetContainerRequest{ID: id})
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"Task API: a request about a container that is not there", func() error {
			_, err := r.tasks.State(ctx, &task.StateRequest{ID: "none"})
			if errdefs.IsNotFound(errgrpc.ToNative(err)) {
				return nil
			}
			return fmt.Errorf("state of a container that is not there: %w", err)
		}},
		{"containerd: the container's record", func() error {
			_, err := containers.Get(ctx, &containersapi.GetContainerRequest{ID: id})
			return err
		}},
		{"containerd: the mounts of its snapshot", func() error {
			_, err := snapshots.Mounts(ctx, &snapshotsapi.MountsRequest{
				Snapshotter: record.GetContainer().GetSnapshotter(), Key: record.GetContainer().GetSnapshotKey(),
			})
			return err
		}},
		{"containerd: the image", func() error {
			_, err := images.Get(ctx, &imagesapi.GetImageRequest{Name: record.GetContainer().GetImage()})
			return err
		}},
	} {
		for range n + 1 { // the first connects
			begin := time.Now()
			if err := step.do(); err != nil {
				return nil, err
			}
			t.AddTime(step.name, stepTime, time.Since(begin))
		}
		row := t.Row(step.name)
		row.Samples[stepTime] = row.Samples[stepTime][1:]
	}
	return t, nil
}
