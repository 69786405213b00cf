package confine

import "golang.org/x/sys/unix"

const (
	auditArch  = unix.AUDIT_ARCH_X86_64
	sysFstatat = unix.SYS_NEWFSTATAT
)

// archPlain are older forms that not every architecture has and libraries
// still use.
var archPlain = []uint32{
	unix.SYS_RENAMEAT, unix.SYS_POLL, unix.SYS_EPOLL_WAIT, unix.SYS_TIME, unix.SYS_ACCESS, unix.SYS_READLINK,
}
