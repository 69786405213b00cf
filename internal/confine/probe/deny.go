//go:build linux && cgo

package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// bad is a pointer into nothing: a call that gets as far as using it says EFAULT,
// so a harmless result can never be mistaken for a denial.
const bad = ^uintptr(4095)

// deny tries everything and says how each attempt ended. Arguments are such that
// an attempt that is let through harms nobody.
func deny(daemon int, paths []string) map[string]string {
	m := map[string]string{}
	call := func(what string, nr uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		m[what] = name(errno)
	}
	open := func(what, path string) {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		m[what] = name(err)
	}
	d := uintptr(daemon)

	// Files.
	for _, p := range paths {
		open("open "+p, p)
		open("open up "+p, "/../../../../../../../.."+p)
	}
	m["open .."] = name(dotdot())
	call("chroot", unix.SYS_CHROOT, bad)
	call("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, 3, bad)
	call("name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, 3, bad)
	call("mknodat", unix.SYS_MKNODAT, 0, bad, unix.S_IFBLK)
	call("fchownat", unix.SYS_FCHOWNAT, 0, bad)
	call("fchmodat", unix.SYS_FCHMODAT, 0, bad)
	call("chdir", unix.SYS_CHDIR, bad)

	// Mounts and namespaces.
	call("mount", unix.SYS_MOUNT, bad, bad, bad)
	call("umount2", unix.SYS_UMOUNT2, bad)
	call("pivot_root", unix.SYS_PIVOT_ROOT, bad, bad)
	call("fsopen", unix.SYS_FSOPEN, bad)
	call("fsmount", unix.SYS_FSMOUNT, bad)
	call("open_tree", unix.SYS_OPEN_TREE, 0, bad)
	call("move_mount", unix.SYS_MOVE_MOUNT, 0, bad, 0, bad)
	call("mount_setattr", unix.SYS_MOUNT_SETATTR, 0, bad)
	call("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	call("setns", unix.SYS_SETNS, 0, unix.CLONE_NEWNET)
	call("sethostname", unix.SYS_SETHOSTNAME, bad, 4)

	// Processes. Flags that contradict each other make clone say EINVAL, not fork.
	call("clone new user", unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_FS)
	call("clone process", unix.SYS_CLONE, unix.CLONE_SIGHAND)
	call("clone thread in a namespace", unix.SYS_CLONE, unix.CLONE_THREAD|unix.CLONE_NEWPID)
	call("clone3", unix.SYS_CLONE3, bad, 0)
	call("execve", unix.SYS_EXECVE, bad)
	call("execveat", unix.SYS_EXECVEAT, 0, bad)
	call("kill daemon", unix.SYS_KILL, d, 0)
	call("kill all", unix.SYS_KILL, ^uintptr(0), 0)
	call("kill self", unix.SYS_KILL, 1, 0)
	call("tkill daemon", unix.SYS_TKILL, d, 0)
	call("tgkill daemon", unix.SYS_TGKILL, d, d, 0)
	call("tgkill any", unix.SYS_TGKILL, ^uintptr(0), d, 0)
	call("rt_sigqueueinfo", unix.SYS_RT_SIGQUEUEINFO, d, 0, bad)
	call("pidfd_open daemon", unix.SYS_PIDFD_OPEN, d)
	call("pidfd_open self", unix.SYS_PIDFD_OPEN, 1)
	call("pidfd_send_signal", unix.SYS_PIDFD_SEND_SIGNAL, 3)
	call("pidfd_getfd", unix.SYS_PIDFD_GETFD, 3)
	call("ptrace", unix.SYS_PTRACE, unix.PTRACE_ATTACH, d)
	call("process_vm_readv", unix.SYS_PROCESS_VM_READV, d, bad, 1, bad, 1)
	call("process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, d, bad, 1, bad, 1)
	call("kcmp", unix.SYS_KCMP, d, d, 100)
	call("prlimit64 daemon", unix.SYS_PRLIMIT64, d, unix.RLIMIT_NOFILE)
	call("prlimit64 self", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE)
	call("setpriority", unix.SYS_SETPRIORITY, 9)
	call("sched_setaffinity", unix.SYS_SCHED_SETAFFINITY, 0, 0, bad)

	// Network and IPC.
	for _, f := range []uintptr{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET, unix.AF_VSOCK, unix.AF_ALG} {
		call(fmt.Sprintf("socket %d", f), unix.SYS_SOCKET, f, unix.SOCK_STREAM)
	}
	m["connect abstract"] = name(abstract())
	call("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_DGRAM, 0, bad)
	call("connect", unix.SYS_CONNECT, 3, bad)
	call("bind", unix.SYS_BIND, 3, bad)
	call("listen", unix.SYS_LISTEN, 3)
	call("getsockopt SO_PEERPIDFD", unix.SYS_GETSOCKOPT, 3, unix.SOL_SOCKET, 77, bad, bad)
	call("setsockopt SO_ATTACH_FILTER", unix.SYS_SETSOCKOPT, 3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, bad, 16)
	call("setsockopt SO_MARK", unix.SYS_SETSOCKOPT, 3, unix.SOL_SOCKET, unix.SO_MARK, bad, 4)
	// The option number of another level's: 2 is SO_REUSEADDR, IP_TTL and no TCP option of ours.
	call("setsockopt of the wrong level", unix.SYS_SETSOCKOPT, 3, unix.IPPROTO_TCP, 2, bad, 4)
	call("shmget", unix.SYS_SHMGET, 1, 4096)
	call("msgget", unix.SYS_MSGGET, 1)
	call("semget", unix.SYS_SEMGET, 1)
	call("mq_open", unix.SYS_MQ_OPEN, bad)

	// The kernel.
	call("keyctl", unix.SYS_KEYCTL, 0)
	call("add_key", unix.SYS_ADD_KEY, bad)
	call("request_key", unix.SYS_REQUEST_KEY, bad)
	call("bpf", unix.SYS_BPF, 0, bad, 8)
	call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, bad)
	call("io_uring_setup", unix.SYS_IO_URING_SETUP, 1, bad)
	call("io_uring_enter", unix.SYS_IO_URING_ENTER, 3)
	call("userfaultfd", unix.SYS_USERFAULTFD)
	call("memfd_create", unix.SYS_MEMFD_CREATE, bad)
	call("finit_module", unix.SYS_FINIT_MODULE, 3, bad)
	call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 1, bad)
	call("reboot", unix.SYS_REBOOT, 0)
	call("syslog", unix.SYS_SYSLOG, 2, bad, 1)
	call("clock_settime", unix.SYS_CLOCK_SETTIME, 0, bad)
	call("personality", unix.SYS_PERSONALITY, 0xffffffff)
	call("fanotify_init", unix.SYS_FANOTIFY_INIT)
	call("inotify_init1", unix.SYS_INOTIFY_INIT1)
	call("setuid", unix.SYS_SETRESUID, 0, 0, 0)
	call("setgid", unix.SYS_SETRESGID, 0, 0, 0)
	call("setgroups", unix.SYS_SETGROUPS, 1, bad)
	call("capset", unix.SYS_CAPSET, bad, bad)
	call("seccomp", unix.SYS_SECCOMP, 1, 0, bad)
	call("prctl PR_SET_DUMPABLE", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 9)
	call("prctl PR_SET_NO_NEW_PRIVS", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0)
	call("prctl PR_CAP_AMBIENT", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, 99)
	call("membarrier global", unix.SYS_MEMBARRIER, 1)

	// Descriptors.
	call("ioctl TIOCSTI", unix.SYS_IOCTL, 3, unix.TIOCSTI, bad)
	call("ioctl TIOCSTI with an upper half", unix.SYS_IOCTL, 3, 1<<32|unix.TIOCSTI, bad)
	call("ioctl TIOCLINUX", unix.SYS_IOCTL, 3, unix.TIOCLINUX, bad)
	call("ioctl FS_IOC_SETFLAGS", unix.SYS_IOCTL, 3, unix.FS_IOC_SETFLAGS, bad)
	call("ioctl TIOCGWINSZ", unix.SYS_IOCTL, 3, unix.TIOCGWINSZ, bad)
	call("fcntl F_SETOWN", unix.SYS_FCNTL, 3, unix.F_SETOWN, d)
	call("fcntl F_NOTIFY", unix.SYS_FCNTL, 3, unix.F_NOTIFY, 0)
	call("splice", unix.SYS_SPLICE, 3, 0, 3, 0, 1)
	call("x32 getpid", unix.SYS_GETPID|0x40000000)
	call("unknown", 4095)
	return m
}

// dotdot walks up from the root; ok only if it arrives somewhere else.
func dotdot() error {
	var root, up unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return err
	}
	if err := unix.Stat("/../../..", &up); err != nil {
		return err
	}
	if root.Dev == up.Dev && root.Ino == up.Ino {
		return unix.ENOENT // there is no way up
	}
	return nil
}

// abstract connects to the test's abstract socket.
func abstract() error {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return errno
	}
	defer func() { _ = syscall.Close(int(fd)) }()
	return unix.Connect(int(fd), &unix.SockaddrUnix{Name: "@confine-probe"})
}
