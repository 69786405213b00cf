// Package confine starts processes that hold no privilege from their first
// instruction of Go on: the executable links the C constructor of package
// confine/boot, which is told over an inherited socket what to give up and does so
// before the Go runtime starts, while the process has one thread.
//
// A confined process is pid 1 of its own pid namespace, in mount, ipc and uts
// namespaces of its own and the network namespace it was given; its root is an
// empty tmpfs into which only mounts made below Config.Root appear; it has a user
// and group id of its own, no capability, no_new_privs, a seccomp filter and no
// descriptor but those it was given. It lives on when the daemon ends.
package confine

import (
	"os"

	"golang.org/x/net/bpf"
)

// Config is everything a confined process is born with.
type Config struct {
	// Binary is the executable: it must link package confine/boot.
	Binary string
	// Args are the arguments after the name.
	Args []string
	// Env is the whole environment.
	Env []string

	// NetNS is the network namespace; nil keeps the daemon's.
	NetNS *os.File
	// Root is the mount point, on the host, of a tmpfs with shared propagation: it
	// becomes the process's "/". Mounts that the daemon makes below it appear in
	// the process, at once and later; none that the process could make would
	// appear on the host.
	Root string
	// UID and GID are the process's only user and group, neither may be 0.
	UID, GID uint32
	// Hostname of the uts namespace; empty keeps the daemon's.
	Hostname string
	// Filter is the seccomp filter, of function Filter. Required.
	Filter []bpf.RawInstruction

	// Files are inherited as descriptors 4, 5, …; 3 is the control socket. None may
	// be a directory outside of Root: it would be a way out.
	Files []*os.File
	// Stderr is descriptor 2; nil means /dev/null, as 0 and 1 are.
	Stderr *os.File

	// Join, if not nil, is run on the forking thread just before the fork, so that
	// the process is born in cgroups of v1 (cgroup.Group.Join). The thread is
	// destroyed after the fork.
	Join func() error
	// CgroupFD, if not nil, is the directory of a v2 cgroup to be born in
	// (cgroup.Group.Dir).
	CgroupFD *os.File
	// OOMScoreAdj, if not nil, is the process's oom_score_adj (proc(5)); nil keeps
	// the daemon's, which a service manager may have protected. Lowering it needs
	// CAP_SYS_RESOURCE; without, it stays as it is.
	OOMScoreAdj *int
	// Adopt, if not nil, is called with the pid after the fork and before the
	// process has done anything but wait in the constructor, for those who can
	// only take over a process that exists (a systemd scope: cgroup.Group.Adopt).
	Adopt func(pid int) error
}
