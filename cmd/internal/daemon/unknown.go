package daemon

import (
	"context"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"blazar/sandbox/controller"
)

// How often containerd is asked which sandboxes it has, and how soon a second time
// about those that it seems not to have.
const (
	unknownEvery   = time.Minute
	unknownConfirm = 2 * time.Second
)

// removeUnknown deletes sandboxes that containerd has forgotten, until ctx ends:
// at once, for what happened while this daemon was not there, and now and then.
func removeUnknown(ctx context.Context, containerd string, services ...*controller.Service) {
	conn, err := grpc.NewClient("unix://"+containerd, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.G(ctx).WithError(err).Error("sandboxes that containerd has forgotten are not removed")
		return
	}
	defer func() { _ = conn.Close() }()
	store := sandboxapi.NewStoreClient(conn)
	known := func(ctx context.Context, namespace, id string) (bool, error) {
		ctx, cancel := context.WithTimeout(namespaces.WithNamespace(ctx, namespace), probeTimeout)
		defer cancel()
		_, err := store.Get(ctx, &sandboxapi.StoreGetRequest{SandboxID: id})
		if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	suspects := make([][]string, len(services))
	for {
		wait := unknownEvery
		for i, s := range services {
			var err error
			if suspects[i], err = s.RemoveUnknown(ctx, known, suspects[i]); err != nil && ctx.Err() == nil {
				log.G(ctx).WithError(err).Debug("looking for sandboxes that containerd has forgotten")
				wait = unknownConfirm
			}
			if len(suspects[i]) > 0 {
				wait = unknownConfirm
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
