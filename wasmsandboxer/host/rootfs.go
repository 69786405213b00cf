package host

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"blazar/internal/mnt"
)

// makeRoot makes a container's root file system out of what containerd gave, owned
// by the pod's user where the process's user owns it. Where the kernel, or the file
// system of the layers, cannot do that, the container is refused, or with
// BestEffort gets its files with their owners as they are; the note says so.
func (s *Service) makeRoot(all []mnt.Mount, idmap *mnt.IDMap) (d *mnt.Detached, note string, err error) {
	attr := mnt.Attr{NoSUID: true, NoDev: true, NoExec: true}
	d, err = mnt.FromContainerd(all, idmap, attr, s.pod.Scratch)
	if !errors.Is(err, errdefs.ErrNotImplemented) {
		return d, "", err
	}
	plain, plainErr := mnt.FromContainerd(all, nil, attr, s.pod.Scratch)
	if plainErr != nil { // it was not for the mapping
		return nil, "", err
	}
	if !s.node.BestEffort {
		_ = plain.Close() // attached nowhere
		return nil, "", fmt.Errorf("%w (wasm.confinement = \"best-effort\" in the configuration mounts it with its owners as they are)", err)
	}
	return plain, fmt.Sprintf("the root file system is mounted without idmapping: the guest is uid %d there and may do what others may (%v)", s.pod.UID, err), nil
}
