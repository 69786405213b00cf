package confine

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/thread"
)

// SetHostname changes the host name of a confined process, which cannot itself: in the
// process's uts namespace, on a thread that is destroyed afterwards. pidfd is the
// process's (Linux 5.8).
func SetHostname(pidfd *os.File, name string) error {
	if len(name) > maxHostname {
		return fmt.Errorf("host name %q: at most %d bytes: %w", name, maxHostname, errdefs.ErrInvalidArgument)
	}
	return withFds([]*os.File{pidfd}, func(fds []int) error {
		var err error
		thread.Throwaway(func() {
			if err = unix.Setns(fds[0], unix.CLONE_NEWUTS); err != nil {
				err = fmt.Errorf("enter the uts namespace of a process: %w", err)
				return
			}
			err = os.NewSyscallError("sethostname", unix.Sethostname([]byte(name)))
		})
		return err
	})
}
