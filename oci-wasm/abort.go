package ociwasm

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endOnAbort gives SIGABRT its default action, which Go's runtime replaces and
// os/signal does not give back.
//
// A compiler that is refused memory aborts in the middle of malloc. Go's handler then
// wants to stop and print all threads, one of which waits for the lock of that very
// malloc: the child hangs until its deadline.
func endOnAbort() error {
	// struct sigaction of the kernel, larger than on any architecture; zero is SIG_DFL.
	var action [64]byte
	const setSize = 8 // of the signal mask, bytes
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
	if errno != 0 {
		return fmt.Errorf("default action of SIGABRT: %w", errno)
	}
	return nil
}
