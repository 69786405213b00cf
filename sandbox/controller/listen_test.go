package controller

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
)

func TestListen(t *testing.T) {
	root := rootOf(t)
	socket := filepath.Join(root, "a", "b", "s")
	old := unix.Umask(0) // which must not matter
	defer unix.Umask(old)
	first, err := Listen(t.Context(), Endpoint{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	if _, err := Listen(t.Context(), Endpoint{Socket: socket}); !errdefs.IsAlreadyExists(err) {
		t.Errorf("a socket that somebody serves: %v", err)
	}
	// The end of a process leaves the file.
	first.listeners[0].(*net.UnixListener).SetUnlinkOnClose(false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(t.Context(), Endpoint{Socket: socket})
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(root, "good")
	if _, err := Listen(t.Context(), Endpoint{Socket: good}, Endpoint{Socket: file}); !errdefs.IsAlreadyExists(err) {
		t.Errorf("a file in the way: %v", err)
	}
	if _, err := os.Stat(good); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first socket of a failed Listen: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if _, err := Listen(t.Context(), Endpoint{Socket: filepath.Join(root, strings.Repeat("x", 100))}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a long path: %v", err)
	}
}

// Of many processes that start at the same time over a stale socket one gets it.
func TestListenTogether(t *testing.T) {
	socket := filepath.Join(rootOf(t), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var won atomic.Int32
	var winner atomic.Pointer[Server]
	for range 16 {
		wg.Go(func() {
			s, err := Listen(t.Context(), Endpoint{Socket: socket})
			if err == nil {
				won.Add(1)
				winner.Store(s)
			} else if !errdefs.IsAlreadyExists(err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d got the socket", won.Load())
	}
	if _, err := net.Dial("unix", socket); err != nil {
		t.Error(err)
	}
	if err := winner.Load().Close(); err != nil {
		t.Error(err)
	}
}

// The end of the server answers those who wait, leaves pods running, and is quick.
func TestServeEnds(t *testing.T) {
	f, root := newFaulty(), rootOf(t)
	d := serve(t, f, root)
	d.run("p")
	waited := make(chan error, 1)
	ctx := d.call()
	go func() {
		_, err := d.api.Wait(ctx, &api.ControllerWaitRequest{SandboxID: "p"})
		waited <- err
	}()
	d.status("p") // so that the Wait is under way, most of the time
	d.end()
	d.code("Wait", <-waited, codes.Unavailable)
	select {
	case <-f.get("p").ended:
		t.Error("the pod was stopped")
	default:
	}
	if _, err := os.Stat(filepath.Join(root, "c.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket: %v", err)
	}
	d = serve(t, f, root)
	d.must(d.tryShutdown("p"))
	d.clean()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ended); err != nil { // of nothing
		t.Error(err)
	}
}
