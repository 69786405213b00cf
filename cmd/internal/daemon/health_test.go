package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// stuckable is a Controller that stops answering when it is told to.
type stuckable struct {
	sandboxapi.UnimplementedControllerServer
	stuck atomic.Bool
}

func (s *stuckable) Status(ctx context.Context, _ *sandboxapi.ControllerStatusRequest) (*sandboxapi.ControllerStatusResponse, error) {
	if s.stuck.Load() {
		<-ctx.Done()
	}
	return nil, status.Error(codes.NotFound, "no such sandbox")
}

// TestHealth plays systemd: it is told of a daemon that answers, and only then.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	const interval = 300 * time.Millisecond
	t.Setenv("NOTIFY_SOCKET", systemd.LocalAddr().String())
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(interval.Microseconds(), 10))
	// told is the next message, "" if none comes in time.
	told := func(within time.Duration) string {
		t.Helper()
		if err := systemd.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := systemd.Read(b)
		if err != nil && !os.IsTimeout(err) {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	const patience = 30 * time.Second

	socket := filepath.Join(dir, "kind.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		reportHealth(ctx, []string{socket})
		close(ended)
	}()
	defer func() { cancel(); <-ended }()
	if m := told(interval); m != "" {
		t.Fatalf("systemd was told %s of a daemon without a socket", m)
	}

	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	service, server := &stuckable{}, grpc.NewServer()
	sandboxapi.RegisterControllerServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for i, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if m := told(patience); m != want {
			t.Fatalf("message %d was %q, want %s", i, m, want)
		}
	}

	service.stuck.Store(true)
	told(interval) // one may have been on its way
	if m := told(2 * interval); m != "" {
		t.Errorf("systemd was told %s of a daemon that hangs", m)
	}
	service.stuck.Store(false)
	if m := told(patience); m != "WATCHDOG=1" {
		t.Errorf("systemd was told %q of a daemon that answers again", m)
	}
	cancel()
	for m := told(patience); m != "STOPPING=1"; m = told(patience) {
		if m != "WATCHDOG=1" { // one more may have been on its way
			t.Fatalf("systemd was told %q of a daemon that ends", m)
		}
	}
}
