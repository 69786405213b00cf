package ociwasm

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fatal are the signals of a program that cannot go on.
var fatal = []syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGTRAP}

// endOnFaults gives those signals their default action, which Go's runtime replaces
// and os/signal does not give back.
//
// A compiler that is refused memory aborts, maybe in the middle of malloc. Go's
// handler then wants to stop and print all threads, one of which waits for the lock
// of that very malloc: the child hangs until its deadline. SIGABRT alone would not
// do: the child is the first process of its pid namespace, which an abort cannot end,
// so that abort(3) goes on to an instruction that faults.
func endOnFaults() error {
	// struct sigaction of the kernel, larger than on any architecture; zero is SIG_DFL.
	var action [64]byte
	const setSize = 8 // of the signal mask, bytes
	for _, s := range fatal {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
		if errno != 0 {
			return fmt.Errorf("default action of %v: %w", s, errno)
		}
	}
	return nil
}
