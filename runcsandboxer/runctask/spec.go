package runctask

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/runcsandboxer/podfile"
)

// sandboxAnnotation names a container's pod: internal/cri/annotations of containerd.
const sandboxAnnotation = "io.kubernetes.cri.sandbox-id"

const (
	configName = "config.json"
	// maxConfig bounds what is read of a specification, in bytes.
	maxConfig = 16 << 20
)

// readSpec reads a bundle's specification.
func readSpec(bundle string) (*specs.Spec, error) {
	f, err := os.Open(filepath.Join(bundle, configName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	s := &specs.Spec{}
	if err := json.NewDecoder(io.LimitReader(f, maxConfig)).Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", f.Name(), err, errdefs.ErrInvalidArgument)
	}
	if s.Linux == nil || s.Process == nil || s.Root == nil {
		return nil, fmt.Errorf("%s lacks process, root or linux: %w", f.Name(), errdefs.ErrInvalidArgument)
	}
	return s, nil
}

// writeSpec replaces a bundle's specification.
func writeSpec(bundle string, s *specs.Spec) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replace(filepath.Join(bundle, configName), b)
}

// replace writes a file wholly or not at all; it does not have to outlive the machine.
func replace(path string, b []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// complete puts into a specification what the pod has and CRI leaves out, because it
// knows of no pod without a pause container's process.
func complete(s *specs.Spec, id string, p *podfile.Pod) error {
	if err := joinNamespaces(s, p); err != nil {
		return err
	}
	addMounts(s, p)
	if p.Cgroup.Below != "" {
		s.Linux.CgroupsPath = filepath.Join(p.Cgroup.Below, id)
	}
	return nil
}

// joinNamespaces replaces the paths below the pod's process by those of the pod's
// namespaces. Other paths, and namespaces of the container's own, stay.
func joinNamespaces(s *specs.Spec, p *podfile.Pod) error {
	pods := map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: p.Namespaces.Network, specs.IPCNamespace: p.Namespaces.IPC,
		specs.UTSNamespace: p.Namespaces.UTS, specs.PIDNamespace: p.Namespaces.PID, specs.UserNamespace: p.Namespaces.User,
	}
	prefix := fmt.Sprintf("/proc/%d/ns/", p.Pid)
	out := make([]specs.LinuxNamespace, 0, len(s.Linux.Namespaces))
	for _, n := range s.Linux.Namespaces {
		if !strings.HasPrefix(n.Path, prefix) {
			out = append(out, n)
			continue
		}
		switch path := pods[n.Type]; path {
		case "":
			return fmt.Errorf("the container wants the pod's %s namespace, which pod %s does not have: %w", n.Type, p.ID, errdefs.ErrFailedPrecondition)
		case podfile.Host:
		default:
			out = append(out, specs.LinuxNamespace{Type: n.Type, Path: path})
		}
	}
	s.Linux.Namespaces = out
	return nil
}

// addMounts adds the pod's mounts where the container has none of its own.
func addMounts(s *specs.Spec, p *podfile.Pod) {
	for _, m := range p.Mounts {
		at := filepath.Clean(m.Destination)
		i := slices.IndexFunc(s.Mounts, func(own specs.Mount) bool { return filepath.Clean(own.Destination) == at })
		mount := bind(s, p, m)
		switch {
		case i < 0:
			s.Mounts = append(s.Mounts, mount)
		case at == "/dev/shm" && s.Mounts[i].Type == "tmpfs" && s.Mounts[i].Source == "shm":
			s.Mounts[i] = mount // the runtime specification's default one
		}
	}
}

func bind(s *specs.Spec, p *podfile.Pod, m podfile.Mount) specs.Mount {
	access := "rw"
	if m.ReadOnly || s.Root.Readonly && !m.WritableAlways {
		access = "ro"
	}
	out := specs.Mount{Type: "bind", Source: m.Source, Destination: m.Destination, Options: append([]string{"rbind", "rprivate", access}, m.Options...)}
	if p.UserNamespace && !m.Unmapped {
		out.UIDMappings, out.GIDMappings = s.Linux.UIDMappings, s.Linux.GIDMappings
	}
	return out
}

// ownsPids says whether the container's first process takes all others with it.
func ownsPids(s *specs.Spec) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.PIDNamespace && n.Path == ""
	})
}

// ids are those on the host of the container's user 0, who is to own its stdio.
func ids(s *specs.Spec) (uid, gid uint32) {
	return hostID(s.Linux.UIDMappings), hostID(s.Linux.GIDMappings)
}

func hostID(mappings []specs.LinuxIDMapping) uint32 {
	for _, m := range mappings {
		if m.ContainerID == 0 {
			return m.HostID
		}
	}
	return 0
}
