// Command floor is a sandboxer and its tasks that do nothing but what containerd asks
// of them: no process, no mount, no cgroup, no record. A "container" writes one line
// to its output and has ended. What a pod of this handler costs is containerd's own
// cost, which no sandboxer can go below.
//
//	floor SOCKET TASK-SOCKET
//
// SOCKET is that of the proxy plugin (Controller over gRPC), TASK-SOCKET the one that
// the pods' address leads to (Task over ttrpc). It runs until SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: floor SOCKET TASK-SOCKET")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serve(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// serve answers on both sockets until ctx ends.
func serve(ctx context.Context, controllerSocket, taskSocket string) error {
	tasks, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	taskapi.RegisterTTRPCTaskService(tasks, newTasks())
	taskListener, err := net.Listen("unix", taskSocket)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", controllerSocket)
	if err != nil {
		return errors.Join(err, taskListener.Close())
	}
	controllers := grpc.NewServer()
	sandboxapi.RegisterControllerServer(controllers, newController("ttrpc+unix://"+taskSocket))

	failed := make(chan error, 2)
	go func() { failed <- tasks.Serve(context.WithoutCancel(ctx), taskListener) }()
	go func() { failed <- controllers.Serve(listener) }()
	left := 2
	select {
	case <-ctx.Done():
	case err = <-failed:
		left--
	}
	controllers.Stop()
	err = errors.Join(err, tasks.Close())
	for range left {
		if e := <-failed; !errors.Is(e, ttrpc.ErrServerClosed) && !errors.Is(e, grpc.ErrServerStopped) {
			err = errors.Join(err, e)
		}
	}
	return err
}
