package runcsandboxer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// sysctl is a setting of one of the pod's namespaces.
type sysctl struct {
	name, value string
	file        string
	// ns is the namespace that has it: unix.CLONE_NEWNET, CLONE_NEWIPC or CLONE_NEWUTS.
	ns int
	// optional ones are not the pod's wish: where the kernel lacks them, so be it.
	optional bool
}

// ipcSysctls are the names, below kernel, of what an ipc namespace has of its own
// (ipc_namespaces(7)); and all of fs.mqueue.
var ipcSysctls = []string{"msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"}

// newSysctls checks the sysctls of a pod: only what its own namespaces have can be
// set. Everything else would be the host's.
func newSysctls(asked map[string]string, p *plan, c *Config) ([]sysctl, error) {
	var out []sysctl
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		s, err := newSysctl(name, asked[name])
		if err != nil {
			return nil, err
		}
		// A pod in the host's network has the host's names too.
		if s.ns != unix.CLONE_NEWIPC && p.hostNet || s.ns == unix.CLONE_NEWIPC && p.hostIPC {
			return nil, fmt.Errorf("sysctl %s: the pod uses the host's namespace, where it would be everybody's: give the pod its own, or leave it out: %w",
				name, errdefs.ErrInvalidArgument)
		}
		out = append(out, *s)
	}
	if p.hostNet {
		return out, nil
	}
	add := func(name, value string) {
		if s, err := newSysctl(name, value); err == nil && !slices.ContainsFunc(out, func(o sysctl) bool { return o.file == s.file }) {
			s.optional = true
			out = append(out, *s)
		}
	}
	if c.UnprivilegedPorts {
		add("net.ipv4.ip_unprivileged_port_start", "0")
	}
	// A range of groups beyond those of a user namespace is refused.
	if c.UnprivilegedPing && p.user == nil {
		add("net.ipv4.ping_group_range", "0 2147483647")
	}
	return out, nil
}

// newSysctl reads a name with dots or, for interfaces with dots in their names,
// slashes between its parts (sysctl(8): the first of the two tells which).
func newSysctl(name, value string) (*sysctl, error) {
	bad := func(why string) (*sysctl, error) {
		return nil, fmt.Errorf("sysctl %q: %s: %w", name, why, errdefs.ErrInvalidArgument)
	}
	parts := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		parts = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	if parts == "" || len(parts) > 512 || strings.ContainsAny(parts+value, "\x00\n") || len(value) > 4096 || path.Clean("/"+parts) != "/"+parts {
		return bad("no name or value of a sysctl")
	}
	s := &sysctl{name: name, value: value, file: "/proc/sys/" + parts}
	first, rest, _ := strings.Cut(parts, "/")
	switch {
	case first == "net" && rest != "":
		s.ns = unix.CLONE_NEWNET
	case first == "fs" && strings.HasPrefix(rest, "mqueue/"), first == "kernel" && slices.Contains(ipcSysctls, rest):
		s.ns = unix.CLONE_NEWIPC
	case first == "kernel" && rest == "domainname":
		s.ns = unix.CLONE_NEWUTS
	case first == "kernel" && rest == "hostname":
		return bad("the host name is set by the pod's hostname")
	default:
		return bad("no namespace of a pod has it of its own, it would be the host's")
	}
	return s, nil
}

// write sets it in the namespaces of the calling thread.
func (s *sysctl) write() error {
	f, err := os.OpenFile(s.file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(s.value)
		err = errors.Join(err, f.Close())
	}
	switch {
	case err == nil, s.optional && errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("sysctl %s: this kernel has none, or not per pod: %w", s.name, errdefs.ErrInvalidArgument)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("sysctl %s: the kernel refuses %q: %w", s.name, s.value, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("sysctl %s: %w", s.name, err)
}
