package confine

import "golang.org/x/sys/unix"

// plain are the calls that pass with any arguments, on every architecture.
var plain = []uint32{
	// Memory: engines make code executable, so PROT_EXEC is needed.
	unix.SYS_BRK, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE,
	// Threads (clone: conditional) and their signals.
	unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
	// Time and randomness.
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP,
	unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM,
	// About itself.
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID,
	unix.SYS_GETEGID, unix.SYS_GETRUSAGE, unix.SYS_TIMES, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETCWD,
	// Descriptors (fcntl, ioctl: conditional).
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64,
	unix.SYS_PREADV, unix.SYS_PWRITEV, unix.SYS_LSEEK, unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FADVISE64,
	unix.SYS_PIPE2, unix.SYS_EVENTFD2, unix.SYS_PPOLL,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT,
	// Files, below the root that is all there is.
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_FSTAT, sysFstatat, unix.SYS_STATX, unix.SYS_GETDENTS64,
	unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_UTIMENSAT,
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_RENAMEAT2,
	// Sockets that came as descriptors; there is no way to make, bind or connect one.
	unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
	unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_RECVFROM, unix.SYS_RECVMSG,
}

// fallbacks are denied with the errno that makes libraries try something older.
var fallbacks = map[uint32]unix.Errno{
	unix.SYS_CLONE3:          unix.ENOSYS, // its flags are out of a filter's sight; glibc takes clone
	unix.SYS_MEMFD_CREATE:    unix.ENOSYS, // Wasmtime then copies initial memories
	unix.SYS_COPY_FILE_RANGE: unix.ENOSYS, // package os reads and writes
	unix.SYS_SENDFILE:        unix.ENOSYS,
	unix.SYS_SPLICE:          unix.EINVAL, // the errno that package net falls back on
}

const (
	namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	all = ^uint32(0)

	prSetVMA = 0x53564d41 // PR_SET_VMA: Go names its mappings

	// asm-generic/ioctls.h; the Rust standard library sets modes by the latter two.
	fionread, fionbio, fioclex = 0x541b, 0x5421, 0x5451
)

// conditional are the calls that pass with some arguments.
func conditional(pid uint32) []rule {
	one := func(nr, arg uint32, values ...uint32) rule {
		return rule{nr, []clause{{{arg, all, values}}}}
	}
	return []rule{
		// Threads only: no processes, no namespaces.
		{unix.SYS_CLONE, []clause{{{0, namespaces | unix.CLONE_THREAD, []uint32{unix.CLONE_THREAD}}}}},
		// Go preempts its own threads by signals.
		one(unix.SYS_TGKILL, 0, pid),
		one(unix.SYS_PRLIMIT64, 0, 0),
		one(unix.SYS_PRCTL, 0, prSetVMA, unix.PR_SET_NAME, unix.PR_GET_NAME),
		// MEMBARRIER_CMD_QUERY and the PRIVATE_EXPEDITED ones, linux/membarrier.h: they
		// touch nobody else. Wasmtime needs them on arm64.
		one(unix.SYS_MEMBARRIER, 0, 0, 1<<3, 1<<4, 1<<5, 1<<6),
		one(unix.SYS_FCNTL, 1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL),
		// Terminals can be asked and sized, not typed into (TIOCSTI).
		one(unix.SYS_IOCTL, 1, unix.TCGETS, unix.TCSETS, unix.TIOCGWINSZ, unix.TIOCSWINSZ, fionread, fionbio, fioclex),
		{unix.SYS_GETSOCKOPT, socketOptions},
		{unix.SYS_SETSOCKOPT, socketOptions},
	}
}

// socketOptions are what packages net and ttrpc use and what WASI can ask for.
// Not among them: options that install programs, choose devices, or hand out a
// descriptor of the peer.
var socketOptions = []clause{
	{{1, all, []uint32{unix.SOL_SOCKET}}, {2, all, []uint32{
		unix.SO_TYPE, unix.SO_ERROR, unix.SO_DOMAIN, unix.SO_PROTOCOL, unix.SO_ACCEPTCONN, unix.SO_PEERCRED,
		unix.SO_REUSEADDR, unix.SO_KEEPALIVE, unix.SO_LINGER, unix.SO_BROADCAST, unix.SO_RCVBUF, unix.SO_SNDBUF,
	}}},
	{{1, all, []uint32{unix.IPPROTO_TCP}}, {2, all, []uint32{
		unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT,
	}}},
	{{1, all, []uint32{unix.IPPROTO_IP}}, {2, all, []uint32{unix.IP_TTL}}},
	{{1, all, []uint32{unix.IPPROTO_IPV6}}, {2, all, []uint32{unix.IPV6_UNICAST_HOPS, unix.IPV6_V6ONLY}}},
}
