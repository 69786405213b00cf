package runcsandboxer

import (
	"fmt"
	"syscall"

	"github.com/containerd/errdefs"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/etcfiles"
	"blazar/sandbox"
)

// plan is what a request asks for, checked.
type plan struct {
	hostNet, hostIPC, hostPID bool
	// sharePID: the pod's containers share a pid namespace of its own.
	sharePID bool
	user     *userMap
	hostname string
	sysctls  []sysctl
}

// userMap is the pod's user namespace.
type userMap struct {
	uids, gids []syscall.SysProcIDMap
}

// maxExtents is how many lines uid_map and gid_map take, user_namespaces(7).
const maxExtents = 340

// newPlan reads a request; every field of it is untrusted.
func newPlan(r *sandbox.Request, c *Config) (*plan, error) {
	o := r.Config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	p := &plan{
		hostNet: r.NetNS == "", hostIPC: o.GetIpc() == cri.NamespaceMode_NODE, hostPID: o.GetPid() == cri.NamespaceMode_NODE,
		sharePID: o.GetPid() == cri.NamespaceMode_POD,
	}
	if p.hostNet && r.Config.GetMetadata() != nil && o.GetNetwork() != cri.NamespaceMode_NODE {
		return nil, fmt.Errorf("the pod wants a network namespace of its own, and containerd names none: %w", errdefs.ErrInvalidArgument)
	}
	for what, mode := range map[string]cri.NamespaceMode{"network": o.GetNetwork(), "ipc": o.GetIpc(), "pid": o.GetPid()} {
		if mode == cri.NamespaceMode_TARGET {
			return nil, fmt.Errorf("%s namespace of the pod: TARGET is for containers: %w", what, errdefs.ErrInvalidArgument)
		}
	}
	p.hostname = etcfiles.Hostname(r.Config, p.hostNet)
	if asked := r.Config.GetHostname(); p.hostname != asked && !p.hostNet {
		return nil, fmt.Errorf("host name %q: at most 64 bytes without line feeds are possible: %w", asked, errdefs.ErrInvalidArgument)
	}
	var err error
	if p.user, err = newUserMap(o.GetUsernsOptions()); err != nil {
		return nil, err
	}
	p.sysctls, err = newSysctls(r.Config.GetLinux().GetSysctls(), p, c)
	return p, err
}

func newUserMap(u *cri.UserNamespace) (*userMap, error) {
	switch {
	case u == nil || u.GetMode() == cri.NamespaceMode_NODE:
		return nil, nil
	case u.GetMode() != cri.NamespaceMode_POD:
		return nil, fmt.Errorf("user namespace mode %s of a pod: POD and NODE are possible: %w", u.GetMode(), errdefs.ErrInvalidArgument)
	}
	uids, err := extents("uids", u.GetUids())
	if err != nil {
		return nil, err
	}
	gids, err := extents("gids", u.GetGids())
	return &userMap{uids, gids}, err
}

func extents(what string, all []*cri.IDMapping) (out []syscall.SysProcIDMap, err error) {
	if len(all) == 0 || len(all) > maxExtents {
		return nil, fmt.Errorf("user namespace with %d ranges of %s: 1 to %d are possible: %w", len(all), what, maxExtents, errdefs.ErrInvalidArgument)
	}
	for _, m := range all {
		const most = 1<<32 - 1
		if m.GetLength() == 0 || uint64(m.GetContainerId())+uint64(m.GetLength()) > most || uint64(m.GetHostId())+uint64(m.GetLength()) > most {
			return nil, fmt.Errorf("user namespace: range of %d %s from %d at %d: %w", m.GetLength(), what, m.GetContainerId(), m.GetHostId(), errdefs.ErrInvalidArgument)
		}
		out = append(out, syscall.SysProcIDMap{ContainerID: int(m.GetContainerId()), HostID: int(m.GetHostId()), Size: int(m.GetLength())})
	}
	return out, nil
}

// hostID is what 0 is mapped to; the overflow id where it is not.
func hostID(m []syscall.SysProcIDMap) int {
	for _, e := range m {
		if e.ContainerID == 0 {
			return e.HostID
		}
	}
	return 65534
}
