package wasmtask

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blazar/wasmsandboxer/hostapi"
)

// mounting is a host service that is asked to mount files.
type mounting struct {
	t     *testing.T
	asked int
	mount func(ctx context.Context) error
}

func (m *mounting) Call(ctx context.Context, method string, body, _ any) ([]*os.File, error) {
	q, ok := body.(*hostapi.FilesRequest)
	if method != hostapi.MethodFiles || !ok || q.Container != "c" {
		m.t.Errorf("asked for %s, %+v", method, body)
	}
	m.asked++
	return nil, m.mount(ctx)
}

// laterOf are the directories / and /data of a container whose files mount makes.
func laterOf(t *testing.T, mount func(ctx context.Context, rootfs string) error) (*laterPreopens, *mounting) {
	t.Helper()
	rootfs := filepath.Join(t.TempDir(), "rootfs")
	m := &mounting{t: t, mount: func(ctx context.Context) error { return mount(ctx, rootfs) }}
	l := newLaterPreopens(&container{rt: &Runtime{host: m}, id: "c", prepared: &hostapi.PrepareReply{
		Rootfs: rootfs, Preopens: []hostapi.Preopen{{Guest: "/"}, {Guest: "/data", ReadOnly: true}},
	}})
	t.Cleanup(l.close)
	return l, m
}

func makeData(_ context.Context, rootfs string) error {
	return os.MkdirAll(filepath.Join(rootfs, "data"), 0o755)
}

func TestLaterPreopens(t *testing.T) {
	l, m := laterOf(t, makeData)
	all := l.list()
	if len(all) != 2 || all[0].Guest != "/" || all[1].Guest != "/data" || !all[1].ReadOnly || m.asked != 0 {
		t.Fatalf("%+v, asked %d times", all, m.asked)
	}
	root, err := all[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }() // only a path
	// What the guest does now makes no difference to what it has not used yet.
	rootfs := l.c.prepared.Rootfs
	if err := os.Rename(filepath.Join(rootfs, "data"), filepath.Join(rootfs, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	data, err := all[1].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Close() }() // only a path
	if m.asked != 1 {
		t.Errorf("asked %d times", m.asked)
	}
	if _, err := all[1].Open(t.Context()); err == nil {
		t.Error("given away twice")
	}
	l.close()
	if _, err := root.Stat(); err != nil {
		t.Error(err)
	}
}

// TestLaterPreopensTryAgain: what failed is tried at the next use.
func TestLaterPreopensTryAgain(t *testing.T) {
	fail := errors.New("no overlay")
	l, m := laterOf(t, func(ctx context.Context, rootfs string) error {
		if fail != nil {
			return fail
		}
		return makeData(ctx, rootfs)
	})
	if _, err := l.take(t.Context(), 0); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	fail = nil
	f, err := l.take(t.Context(), 0)
	if err != nil || m.asked != 2 {
		t.Fatalf("%v after %d times", err, m.asked)
	}
	_ = f.Close() // only a path
	l.close()
	if _, err := l.take(t.Context(), 1); err == nil {
		t.Error("opened after the end")
	}
}

// TestLaterPreopensOfAKilledGuest: neither the guest nor its end waits for the daemon.
func TestLaterPreopensOfAKilledGuest(t *testing.T) {
	waiting := make(chan struct{})
	l, _ := laterOf(t, func(ctx context.Context, _ string) error {
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, kill := context.WithCancel(t.Context())
	taken := make(chan error)
	go func() {
		_, err := l.take(ctx, 0)
		taken <- err
	}()
	<-waiting
	kill()
	select {
	case err := <-taken:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("goes on waiting")
	}
	l.close()
}
