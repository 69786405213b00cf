package netns

import (
	"os"

	"golang.org/x/sys/unix"

	"blazar/internal/thread"
)

// Empty makes a network namespace in which there is nothing but a loopback interface
// that is down. It lasts as long as the file is open or a process is in it.
func Empty() (ns *os.File, err error) {
	thread.Throwaway(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = os.NewSyscallError("unshare", err)
			return
		}
		ns, err = os.Open("/proc/thread-self/ns/net")
	})
	return ns, err
}
