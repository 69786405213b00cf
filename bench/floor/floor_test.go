package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// started serves the floor and returns its clients.
func started(t *testing.T) (sandboxapi.ControllerClient, taskapi.TTRPCTaskService) {
	t.Helper()
	dir, err := os.MkdirTemp("", "floor-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	controller, tasks := filepath.Join(dir, "c"), filepath.Join(dir, "t")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, controller, tasks) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	// It listens on the controller's socket last.
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(controller); err == nil {
			break
		}
	}
	conn, err := net.Dial("unix", tasks)
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() { _ = client.Close() })
	g, err := grpc.NewClient("unix://"+controller, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return sandboxapi.NewControllerClient(g), taskapi.NewTTRPCTaskClient(client)
}

func TestContainer(t *testing.T) {
	_, c := started(t)
	ctx := t.Context()
	fifo := filepath.Join(t.TempDir(), "out")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, &taskapi.CreateTaskRequest{ID: "a", Stdout: fifo}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(ctx, &taskapi.StartRequest{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	// It lives until somebody has read what it said.
	if _, err := c.Delete(ctx, &taskapi.DeleteRequest{ID: "a"}); !errors.Is(errgrpc.ToNative(err), errdefs.ErrFailedPrecondition) {
		t.Errorf("deleted while it runs: %v", err)
	}
	if b, err := os.ReadFile(fifo); err != nil || string(b) != line {
		t.Errorf("%q, %v", b, err)
	}
	if r, err := c.Wait(ctx, &taskapi.WaitRequest{ID: "a"}); err != nil || r.ExitStatus != 0 || r.ExitedAt == nil {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := c.Delete(ctx, &taskapi.DeleteRequest{ID: "a"}); err != nil {
		t.Error(err)
	}
	if _, err := c.State(ctx, &taskapi.StateRequest{ID: "a"}); !errors.Is(errgrpc.ToNative(err), errdefs.ErrNotFound) {
		t.Errorf("after Delete: %v", err)
	}
}

func TestPod(t *testing.T) {
	c, _ := started(t)
	ctx := t.Context()
	if _, err := c.Create(ctx, &sandboxapi.ControllerCreateRequest{SandboxID: "p"}); err != nil {
		t.Fatal(err)
	}
	r, err := c.Start(ctx, &sandboxapi.ControllerStartRequest{SandboxID: "p"})
	if err != nil || r.Version != taskVersion || r.Address == "" {
		t.Fatalf("%v, %v", r, err)
	}
	if _, err := c.Stop(ctx, &sandboxapi.ControllerStopRequest{SandboxID: "p"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Wait(ctx, &sandboxapi.ControllerWaitRequest{SandboxID: "p"}); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := c.Shutdown(ctx, &sandboxapi.ControllerShutdownRequest{SandboxID: "p"}); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Status(ctx, &sandboxapi.ControllerStatusRequest{SandboxID: "p"}); !errors.Is(errgrpc.ToNative(err), errdefs.ErrNotFound) {
		t.Errorf("after Shutdown: %v", err)
	}
}
