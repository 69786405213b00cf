package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/cgroup"
	"blazar/internal/testneeds"
	"blazar/wasmsandboxer/hostapi"
)

// withCPU is a containerd whose container has CPU limits.
type withCPU struct {
	twoPods
	cpu *specs.LinuxCPU
}

func (c *withCPU) Container(ctx context.Context, namespace, id string) (*Container, error) {
	rec, err := c.twoPods.Container(ctx, namespace, id)
	if err == nil {
		rec.Spec.Linux = &specs.Linux{Resources: &specs.LinuxResources{CPU: c.cpu}}
	}
	return rec, err
}

// limitedService is the service of a pod with a cgroup that has a whole CPU.
func limitedService(t *testing.T) (*Service, *withCPU, *cgroup.Group) {
	t.Helper()
	testneeds.Root(t)
	if m := cgroup.HostMode(); m != cgroup.V1 && m != cgroup.Hybrid {
		t.Fatalf("this host has cgroups of kind %v; the test reads what v1 says", m)
	}
	quota, period := int64(100_000), uint64(100_000)
	name := fmt.Sprintf("blazar-host-test-%d-%s", os.Getpid(), t.Name())
	g, err := cgroup.Create(t.Context(), "/"+name, "pod", &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Delete(ctx); err != nil {
			t.Error(err)
		}
	})
	s, _ := newService(t)
	s.pod.Group = g
	c := &withCPU{twoPods: twoPods{t}, cpu: &specs.LinuxCPU{}}
	s.node.Containers = c
	return s, c, g
}

func exists(t *testing.T, g *cgroup.Group, id string) bool {
	t.Helper()
	threads, err := g.Threads(id)
	if err != nil {
		t.Fatal(err)
	}
	files, err := threads.Files()
	closeFiles(files)
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func says(t *testing.T, s *Service, text string) {
	t.Helper()
	if got := s.History()["mine"].CPU; got != text && (text == "" || !strings.Contains(got, text)) {
		t.Errorf("the status says %q, not %q", got, text)
	}
}

// Limits come from containerd. A wasm-task that was taken over cannot raise its own,
// and one that asks for what containerd says gets just that.
func TestUpdateTakesLimitsFromContainerd(t *testing.T) {
	s, containerd, g := limitedService(t)
	change := func(cpu hostapi.CPU) error {
		return call(t, s, hostapi.MethodUpdate, hostapi.UpdateRequest{Container: "mine", CPU: cpu})
	}
	if err := change(hostapi.CPU{}); err != nil || exists(t, g, "mine") {
		t.Errorf("a container without limits: %v, it has a group: %v", err, exists(t, g, "mine"))
	}
	says(t, s, "")
	quota, shares := int64(20_000), uint64(512)
	containerd.cpu = &specs.LinuxCPU{Quota: &quota, Shares: &shares}
	for _, cpu := range []hostapi.CPU{{}, {Quota: -1, Shares: 512}, {Quota: 20_000, Shares: 1 << 18}, {Quota: 20_000, Shares: 512, CPUs: "0-1"}} {
		if err := change(cpu); !errdefs.IsFailedPrecondition(err) || exists(t, g, "mine") {
			t.Errorf("%+v: %v", cpu, err)
		}
	}
	if err := change(hostapi.CPU{Quota: 20_000, Shares: 512}); err != nil {
		t.Fatal(err)
	}
	says(t, s, "CPU limits hold for the container: shares 512, 2000 of every 10000 µs in cgroup "+g.Path()+"/container-mine")
	// Taking the limits away keeps the group, which threads are in.
	containerd.cpu = &specs.LinuxCPU{Quota: new(int64(-1)), Shares: &shares}
	if err := change(hostapi.CPU{Quota: -1, Shares: 512}); err != nil {
		t.Fatal(err)
	}
	says(t, s, "shares 512 in cgroup")
	for range 2 {
		if err := call(t, s, hostapi.MethodRemove, hostapi.RemoveRequest{Container: "mine"}); err != nil || exists(t, g, "mine") {
			t.Errorf("removed: %v", err)
		}
	}
	if err := call(t, s, hostapi.MethodUpdate, hostapi.UpdateRequest{Container: "other"}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("a container of another pod: %v", err)
	}
}

// Without a cgroup that can hold a container the update succeeds, and the status says
// what holds.
func TestPodAsAWhole(t *testing.T) {
	s, _ := newService(t)
	quota := int64(20_000)
	s.node.Containers = &withCPU{twoPods: twoPods{t}, cpu: &specs.LinuxCPU{Quota: &quota}}
	reply, files, err := s.update(t.Context(), &hostapi.UpdateRequest{Container: "mine", CPU: hostapi.CPU{Quota: quota}})
	if err != nil || len(files) > 0 || len(reply.(*hostapi.UpdateReply).Notes) != 1 {
		t.Errorf("answer %+v with %d files, %v", reply, len(files), err)
	}
	says(t, s, "CPU limits hold for the pod as a whole: the pod has no cgroup")
}

// What a container could not have in a smaller pod it gets in a larger one.
func TestPodResized(t *testing.T) {
	s, containerd, g := limitedService(t)
	quota, period := int64(150_000), uint64(100_000)
	containerd.cpu = &specs.LinuxCPU{Quota: &quota, Period: &period}
	if err := call(t, s, hostapi.MethodUpdate, hostapi.UpdateRequest{Container: "mine", CPU: hostapi.CPU{Quota: quota, Period: period}}); err != nil {
		t.Fatal(err)
	}
	says(t, s, "shares 1024 in cgroup")
	if err := os.MkdirAll(s.containerDir("mine"), 0o700); err != nil { // as prepare does
		t.Fatal(err)
	}
	podQuota := int64(200_000)
	if err := g.Update(t.Context(), &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &podQuota, Period: &period}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PodResized(t.Context()); err != nil {
		t.Fatal(err)
	}
	says(t, s, "15000 of every 10000 µs in cgroup")
	if err := errors.Join(call(t, s, hostapi.MethodRemove, hostapi.RemoveRequest{Container: "mine"}), s.PodResized(t.Context())); err != nil {
		t.Errorf("after the container has gone: %v", err)
	}
}
