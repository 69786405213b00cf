package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
	"blazar/internal/testneeds"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/podspec"
)

// notedLinux notes what it is asked for.
type notedLinux struct {
	made            []LinuxContainer
	updated         []*specs.LinuxResources
	killed, removed []string
	err             error
}

var _ Linux = (*notedLinux)(nil)

func (l *notedLinux) Create(_ context.Context, c LinuxContainer) (*os.File, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.made = append(l.made, c)
	return os.Open(os.DevNull)
}

func (l *notedLinux) Has(id string) bool {
	return slices.ContainsFunc(l.made, func(c LinuxContainer) bool { return c.ID == id }) && !slices.Contains(l.removed, id)
}

func (l *notedLinux) Kill(_ context.Context, id string) error {
	l.killed = append(l.killed, id)
	return nil
}

func (l *notedLinux) Update(_ context.Context, _ string, r *specs.LinuxResources) error {
	l.updated = append(l.updated, r)
	return nil
}

func (l *notedLinux) Remove(_ context.Context, id string) error {
	l.removed = append(l.removed, id)
	return nil
}

// rootOf gives every container a root file system with these files.
type rootOf struct {
	Containers
	dir    string
	change func(*Container)
}

func (r rootOf) Container(ctx context.Context, namespace, id string) (*Container, error) {
	c, err := r.Containers.Container(ctx, namespace, id)
	if err == nil && r.change != nil {
		r.change(c)
	}
	return c, err
}

func (r rootOf) Rootfs(context.Context, string, *Container) ([]mnt.Mount, error) {
	return []mnt.Mount{{Type: "bind", Source: r.dir, Options: []string{"rbind", "rw"}}}, nil
}

// newMixed is the service of a pod whose container "mine" has a command that is a file
// with these contents.
func newMixed(t *testing.T, program string, change func(*Container)) (*Service, *notedLinux) {
	t.Helper()
	testneeds.Root(t)
	s, _ := newService(t)
	root := t.TempDir()
	rec, err := s.node.Containers.Container(t.Context(), s.pod.Namespace, "mine")
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(root, rec.Spec.Process.Args[0])
	if err := os.MkdirAll(filepath.Dir(command), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(command, []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	s.node.Containers = rootOf{s.node.Containers, root, change}
	l := &notedLinux{}
	s.pod.Linux, s.pod.Workers = l, &fakeWorkers{}
	t.Cleanup(func() {
		if err := mnt.UnmountAll(s.pod.Root); err != nil {
			t.Error(err)
		}
	})
	return s, l
}

const elf = "\x7fELF\x02\x01\x01"

// A program for Linux is handed to who runs such; nothing of it appears in the pod, and
// nothing comes from the wasm-task but the names of FIFOs.
func TestLinuxContainer(t *testing.T) {
	for name, c := range map[string]struct{ program, isolation string }{
		"program":  {elf, "thread"},
		"script":   {"#!/bin/sh\necho\n", "thread"},
		"isolated": {elf, "process"},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := newMixed(t, c.program, func(r *Container) { r.Spec.Process.Terminal = true })
			s.pod.Annotations = map[string]string{podspec.AnnotationIsolation: c.isolation}
			fifo := filepath.Join(s.node.ContainerdState, criContainers, "mine", "io", "stdout")
			if err := os.MkdirAll(filepath.Dir(fifo), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			reply, files, err := s.Handle(t.Context(), hostapi.MethodPrepare, []byte(`{"container":"mine","linux":true,"stdio":{"stdout":"`+fifo+`"}}`))
			if err != nil {
				t.Fatal(err)
			}
			closeFiles(files)
			p, ok := reply.(*hostapi.PrepareReply)
			if !ok || p.Worker == nil || !p.Worker.Linux || len(files) != 1 || p.Roles[0] != hostapi.RoleWorker {
				t.Errorf("%+v, %v", reply, files)
			}
			if len(l.made) != 1 {
				t.Fatalf("made %+v", l.made)
			}
			got := l.made[0]
			bundle := filepath.Join(s.node.ContainerdState, bundlesDir, s.pod.Namespace, "mine")
			if got.ID != "mine" || got.Bundle != bundle || got.Stdio.Stdout != fifo || !got.Stdio.Terminal || got.FIFOs != filepath.Dir(fifo) || len(got.Rootfs) != 1 {
				t.Errorf("made of %+v", got)
			}
			if entries, err := os.ReadDir(filepath.Join(s.pod.Root, containersDir)); err == nil && len(entries) > 0 {
				t.Errorf("in the pod: %v", entries)
			}
			if e := s.History()["mine"]; e.Linux == "" {
				t.Errorf("noted %+v", e)
			}
			if err := call(t, s, hostapi.MethodLimit, hostapi.LimitRequest{Container: "mine"}); err != nil {
				t.Error(err)
			}
			if err := call(t, s, hostapi.MethodKill, hostapi.KillRequest{Container: "mine"}); err != nil || len(l.killed) != 1 {
				t.Errorf("killed %v, %v", l.killed, err)
			}
			if err := call(t, s, hostapi.MethodRemove, hostapi.RemoveRequest{Container: "mine"}); err != nil || len(l.removed) != 1 {
				t.Errorf("removed %v, %v", l.removed, err)
			}
		})
	}
}

// What a wasm-task that was taken over may not have, and what the pod forbids.
func TestLinuxContainerRefused(t *testing.T) {
	for name, c := range map[string]struct {
		request, mixed string
		none           bool
		is             func(error) bool
		says           string
	}{
		"forged FIFO":     {request: `"linux":true,"stdio":{"stdout":"/etc/passwd"}`, is: errdefs.IsPermissionDenied, says: "/etc/passwd"},
		"other container": {request: `"linux":true,"stdio":{"stdout":"STATE/neighbour/io/x"}`, is: errdefs.IsPermissionDenied, says: "neighbour"},
		"forbidden":       {request: `"linux":true,"stdio":{}`, mixed: "false", is: errdefs.IsNotImplemented, says: "blazar/mixed"},
		"nonsense":        {request: `"linux":true,"stdio":{}`, mixed: "maybe", is: errdefs.IsInvalidArgument, says: "maybe"},
		"older task":      {request: `"stdio":{}`, is: errdefs.IsNotImplemented, says: "release"},
		"nobody runs any": {request: `"linux":true,"stdio":{}`, none: true, is: errdefs.IsNotImplemented, says: "ELF"},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := newMixed(t, elf, nil)
			if c.mixed != "" {
				s.pod.Annotations = map[string]string{podspec.AnnotationMixed: c.mixed}
			}
			if c.none {
				s.pod.Linux = nil
			}
			request := strings.ReplaceAll(c.request, "STATE", filepath.Join(s.node.ContainerdState, criContainers))
			_, files, err := s.Handle(t.Context(), hostapi.MethodPrepare, []byte(`{"container":"mine",`+request+`}`))
			closeFiles(files)
			if err == nil || !c.is(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, which is to say %q", err, c.says)
			}
			if len(l.made) > 0 {
				t.Errorf("made %+v", l.made)
			}
			if entries, err := os.ReadDir(filepath.Join(s.pod.Root, containersDir)); err == nil && len(entries) > 0 {
				t.Errorf("in the pod: %v", entries)
			}
		})
	}
}

// Containers of other pods, and those that are none of Linux, are not limited or killed.
func TestLimitOfForeignContainers(t *testing.T) {
	s, l := newMixed(t, elf, nil)
	for _, id := range []string{"mine", "other", "unknown", "../x"} {
		err := call(t, s, hostapi.MethodLimit, hostapi.LimitRequest{Container: id})
		if !errdefs.IsNotFound(err) && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", id, err)
		}
	}
	l.err = errors.New("no")
	if err := call(t, s, hostapi.MethodPrepare, hostapi.PrepareRequest{Container: "mine", Linux: true}); !errors.Is(err, l.err) {
		t.Error(err)
	}
	if len(l.updated)+len(l.killed) > 0 {
		t.Errorf("%+v", l)
	}
}
