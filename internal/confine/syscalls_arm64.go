package confine

import "golang.org/x/sys/unix"

const (
	auditArch  = unix.AUDIT_ARCH_AARCH64
	sysFstatat = unix.SYS_FSTATAT
)

// archPlain are older forms that not every architecture has.
var archPlain = []uint32{unix.SYS_RENAMEAT}
