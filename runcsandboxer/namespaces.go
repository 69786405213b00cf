package runcsandboxer

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
	"blazar/internal/netns"
	"blazar/internal/openfile"
	"blazar/internal/thread"
)

// makeNamespaces makes, configures and pins the pod's namespaces.
func (p *pod) makeNamespaces(ctx context.Context) error {
	if err := os.MkdirAll(p.path(nsName), 0o700); err != nil {
		return err
	}
	var net *os.File
	if p.r.NetNS != "" {
		var err error
		if net, err = netns.Open(p.r.NetNS); err != nil {
			return err
		}
		defer func() { _ = net.Close() }() // only named to the kernel
	}
	if p.of != nil {
		return p.borrowNamespaces(ctx, net)
	}
	if p.plan.user != nil || p.plan.sharePID {
		return p.makeWithProcess(ctx, net)
	}
	return onThread(func() error {
		if flags := p.plan.own(); flags != 0 {
			if err := unix.Unshare(flags); err != nil {
				return os.NewSyscallError("unshare", err)
			}
		}
		if err := p.plan.configure(net); err != nil {
			return err
		}
		return p.pinAll("/proc/thread-self")
	})
}

// own are the namespaces, but for those of users, pids and the network, that the pod
// has for itself.
func (p *plan) own() (flags int) {
	if !p.hostIPC {
		flags |= unix.CLONE_NEWIPC
	}
	if !p.hostNet {
		flags |= unix.CLONE_NEWUTS
	}
	return flags
}

// onThread runs fn on a thread that may be left in any state.
func onThread(fn func() error) (err error) {
	thread.Throwaway(func() { err = fn() })
	return err
}

// configure sets the host name and the sysctls; the calling thread is in the pod's
// namespaces, but for that of the network.
func (p *plan) configure(net *os.File) error {
	if net != nil && len(p.sysctls) > 0 {
		if err := setns(net, unix.CLONE_NEWNET); err != nil {
			return err
		}
	}
	if p.hostname != "" {
		if err := unix.Sethostname([]byte(p.hostname)); err != nil {
			return fmt.Errorf("host name %q: %w", p.hostname, os.NewSyscallError("sethostname", err))
		}
	}
	var ipc []sysctl
	for _, s := range p.sysctls {
		if s.ns == unix.CLONE_NEWIPC {
			ipc = append(ipc, s)
			continue
		}
		if err := s.write(); err != nil {
			return err
		}
	}
	if p.user != nil && len(ipc) > 0 {
		if err := p.user.beRoot(); err != nil {
			return err
		}
	}
	for _, s := range ipc {
		if err := s.write(); err != nil {
			return err
		}
	}
	return nil
}

// beRoot makes the calling thread act as the root of the user namespace: those of its
// ipc namespace's settings that belong to it nobody else can write, not even root.
func (u *userMap) beRoot() error {
	uid, gid := hostID(u.uids), hostID(u.gids)
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(gid), keep); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

// pinAll binds what the pod has of its own from a directory of /proc.
func (p *pod) pinAll(proc string) error { return p.pinSome(proc, pinNames...) }

// pinSome binds some of it.
func (p *pod) pinSome(proc string, names ...string) error {
	own := map[string]bool{
		ipcName: !p.plan.hostIPC, utsName: !p.plan.hostNet, pidName: p.plan.sharePID, userName: p.plan.user != nil,
	}
	for _, name := range names {
		if !own[name] {
			continue
		}
		if err := pinAt(proc+"/ns/"+name, p.pin(name)); err != nil {
			return fmt.Errorf("pin the pod's %s namespace: %w", name, err)
		}
	}
	return nil
}

// pinAt keeps a namespace without a process, as namespaces(7) describes: by a bind
// mount.
func pinAt(source, target string) error {
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o400)
	if err != nil {
		return err
	}
	_ = f.Close() // nothing was written
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "mount", Path: target, Err: err}
	}
	return nil
}

// openUser opens the pod's user namespace: the one that owns its network namespace,
// which the CRI plugin has made with the pod's mappings; or a new one.
func (p *plan) openUser(net *os.File) (*os.File, error) {
	if net == nil {
		return mnt.UserNamespace(p.user.uids, p.user.gids)
	}
	fd := -1
	err := openfile.Control(net, func(n int) (err error) {
		fd, err = unix.IoctlRetInt(n, unix.NS_GET_USERNS) // ioctl_nsfs(2)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("owner of network namespace %s: %w", net.Name(), err)
	}
	unix.CloseOnExec(fd)
	user := os.NewFile(uintptr(fd), "user namespace of "+net.Name())
	own, err := os.Stat("/proc/self/ns/user")
	if err == nil {
		var theirs os.FileInfo
		if theirs, err = user.Stat(); err == nil && os.SameFile(own, theirs) {
			err = fmt.Errorf("network namespace %s belongs to the host's user namespace, and the pod has one of its own: %w", net.Name(), errdefs.ErrInvalidArgument)
		}
	}
	if err != nil {
		_ = user.Close() // nothing was written
		return nil, err
	}
	return user, nil
}

func setns(f *os.File, kind int) error {
	if err := openfile.Control(f, func(fd int) error { return unix.Setns(fd, kind) }); err != nil {
		return fmt.Errorf("enter namespace %s: %w", f.Name(), os.NewSyscallError("setns", err))
	}
	return nil
}
