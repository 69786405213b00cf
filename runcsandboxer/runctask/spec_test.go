package runctask

import (
	"os"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/runcsandboxer/podfile"
)

// writePod writes the file of a pod that shares nothing.
func (n *node) writePod(id string) {
	n.Helper()
	dir := podfile.Dir(n.state, "runc", id)
	n.must(os.MkdirAll(dir, 0o700))
	n.must((&podfile.Pod{ID: id}).Write(dir))
}

func TestComplete(t *testing.T) {
	pod := &podfile.Pod{
		ID: "p", Pid: 7, UserNamespace: true,
		Namespaces: podfile.Namespaces{IPC: "/pins/ipc", UTS: podfile.Host, User: "/pins/user"},
		Mounts: []podfile.Mount{
			{Destination: "/etc/hosts", Source: "/pod/hosts"},
			{Destination: "/etc/hostname", Source: "/pod/hostname", ReadOnly: true, Unmapped: true},
			{Destination: "/dev/shm", Source: "/pod/shm", WritableAlways: true, Unmapped: true},
		},
		Cgroup: podfile.Cgroup{Below: "/blazar/p"},
	}
	ids := []specs.LinuxIDMapping{{HostID: 1000, Size: 10}}
	spec := func() *specs.Spec {
		return &specs.Spec{
			Root: &specs.Root{Readonly: true},
			Mounts: []specs.Mount{
				{Destination: "/etc/hosts/", Source: "/own"},
				{Destination: "/dev/shm", Type: "tmpfs", Source: "shm"},
			},
			Linux: &specs.Linux{
				UIDMappings: ids, GIDMappings: ids,
				Namespaces: []specs.LinuxNamespace{
					{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace, Path: "/proc/7/ns/ipc"},
					{Type: specs.UTSNamespace, Path: "/proc/7/ns/uts"}, {Type: specs.NetworkNamespace, Path: "/proc/77/ns/net"},
					{Type: specs.UserNamespace, Path: "/proc/7/ns/user"},
				},
			},
		}
	}
	s := spec()
	if err := complete(s, "c", pod); err != nil {
		t.Fatal(err)
	}
	want := []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace, Path: "/pins/ipc"},
		{Type: specs.NetworkNamespace, Path: "/proc/77/ns/net"}, {Type: specs.UserNamespace, Path: "/pins/user"},
	}
	if d := cmp.Diff(want, s.Linux.Namespaces); d != "" {
		t.Error(d)
	}
	mounts := []specs.Mount{
		{Destination: "/etc/hosts/", Source: "/own"},
		{Destination: "/dev/shm", Type: "bind", Source: "/pod/shm", Options: []string{"rbind", "rprivate", "rw"}},
		{Destination: "/etc/hostname", Type: "bind", Source: "/pod/hostname", Options: []string{"rbind", "rprivate", "ro"}},
	}
	if d := cmp.Diff(mounts, s.Mounts); d != "" {
		t.Error(d)
	}
	if s.Linux.CgroupsPath != "/blazar/p/c" {
		t.Errorf("cgroupsPath %s", s.Linux.CgroupsPath)
	}
	s = spec()
	s.Mounts = nil
	if err := complete(s, "c", pod); err != nil {
		t.Fatal(err)
	}
	if m := s.Mounts[0]; m.Source != "/pod/hosts" || m.Options[2] != "ro" || !cmp.Equal(m.UIDMappings, ids) || !cmp.Equal(m.GIDMappings, ids) {
		t.Errorf("mount %+v", m)
	}
	s = spec()
	s.Linux.Namespaces[0].Path = "/proc/7/ns/pid"
	if err := complete(s, "c", pod); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a pid namespace that the pod does not have: %v", err)
	}
}

func TestIDs(t *testing.T) {
	s := &specs.Spec{Linux: &specs.Linux{UIDMappings: []specs.LinuxIDMapping{{ContainerID: 5, HostID: 9}, {ContainerID: 0, HostID: 77}}}}
	if uid, gid := ids(s); uid != 77 || gid != 0 {
		t.Errorf("%d, %d", uid, gid)
	}
}
