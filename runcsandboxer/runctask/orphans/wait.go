package orphans

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childInfo is the beginning of siginfo_t as waitid(2) fills it on a 64-bit system.
type childInfo struct {
	_   [4]int32 // si_signo, si_errno, si_code, padding
	pid int32
	_   [108]byte
}

// ended finds a child that has ended, and leaves it; 0 if there is none.
func ended() int {
	for {
		var si childInfo
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&si)),
			unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0)
		if errors.Is(errno, unix.EINTR) {
			continue
		}
		if errno != 0 {
			return 0
		}
		return int(si.pid)
	}
}
