package ociwasm

import "golang.org/x/sys/unix"

// archForbidden are old names of what has others on every architecture.
var archForbidden = []uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB,
}
