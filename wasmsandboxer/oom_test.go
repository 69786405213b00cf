package wasmsandboxer_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/testneeds"
	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
	"blazar/sandbox/task/taskapi"
)

// A pod that takes more than its cgroup may have is ended by the kernel: the reason
// is recorded, and containerd is told of every container.
func TestPodOutOfMemory(t *testing.T) {
	testneeds.Root(t)
	h := newHarness(t)
	for _, d := range []string{"t", "p"} {
		if err := os.Mkdir(filepath.Join(h.Root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := &records{}
	state := filepath.Join(h.Root, "t", "state")
	s, closeKind := newSandboxer(t, r, filepath.Join(h.Root, "k"), state)
	defer closeKind()
	config, _ := h.Config(t, "pod")
	config.Linux.Resources = &cri.LinuxContainerResources{MemoryLimitInBytes: 16 << 20}
	config.Linux.Overhead = &cri.LinuxContainerResources{MemoryLimitInBytes: 32 << 20}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := s.Create(ctx, &sandbox.Request{
		ID: "pod", Namespace: "k8s.io", Dir: filepath.Join(h.Root, "p"), Config: config,
		Save: func(context.Context, any) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Delete(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
		if left := h.Leaks(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}()
	started, err := p.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// A guest without a limit of its own.
	spec := &specs.Spec{Process: process(sandboxtest.Program{Args: []string{"leak"}}), Root: &specs.Root{Path: "rootfs"}}
	if err := r.put("greedy", record{sandbox: "pod", spec: spec, upper: filepath.Join(h.Root, "t", "greedy")}); err != nil {
		t.Fatal(err)
	}
	if err := run1(ctx, started.Address, "greedy"); err != nil {
		t.Fatal(err)
	}
	e, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if e.Status != 137 || !strings.HasPrefix(e.Reason, "OOMKilled") {
		t.Errorf("the pod ended with %d: %q", e.Status, e.Reason)
	}
	for begin := time.Now(); forwarded.count("/tasks/oom") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("containerd was not told")
		}
	}
}

// run1 creates and starts a container.
func run1(ctx context.Context, address, id string) error {
	conn, err := net.Dial("unix", strings.TrimPrefix(address, "ttrpc+unix://"))
	if err != nil {
		return err
	}
	c := ttrpc.NewClient(conn)
	defer func() { _ = c.Close() }()
	tasks := taskapi.NewClient(c)
	if _, err := tasks.Create(ctx, &taskapi.CreateTaskRequest{Id: id}); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if _, err := tasks.Start(ctx, &taskapi.StartRequest{Id: id}); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}
