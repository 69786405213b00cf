package daemon

import (
	"context"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"
	"github.com/coreos/go-systemd/v22/daemon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// probeTimeout bounds one question to a socket of our own.
const probeTimeout = 5 * time.Second

// reportHealth tells systemd when the sockets answer, and goes on telling it as
// long as they do, if the unit has a watchdog: systemd then restarts a daemon that
// does not answer any more, and the pods run on. Returns when ctx ends.
func reportHealth(ctx context.Context, sockets []string) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.G(ctx).WithError(err).Warn("systemd's watchdog cannot be used")
	}
	for probeAll(ctx, sockets) != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	notify(ctx, daemon.SdNotifyReady)
	defer notify(context.WithoutCancel(ctx), daemon.SdNotifyStopping)
	if interval == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := probeAll(ctx, sockets); err != nil {
			if ctx.Err() == nil {
				log.G(ctx).WithError(err).Error("not healthy: systemd is not told to keep this process")
			}
			continue
		}
		notify(ctx, daemon.SdNotifyWatchdog)
	}
}

func notify(ctx context.Context, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.G(ctx).WithError(err).Warn("cannot tell systemd " + state)
	}
}

func probeAll(ctx context.Context, sockets []string) error {
	for _, s := range sockets {
		if err := probe(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// probe makes a real call through everything that a request of containerd goes
// through: the status of a sandbox that cannot be.
func probe(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = sandboxapi.NewControllerClient(conn).Status(ctx, &sandboxapi.ControllerStatusRequest{SandboxID: "health-probe"})
	if err = errgrpc.ToNative(err); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}
