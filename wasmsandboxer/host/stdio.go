package host

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"blazar/wasmsandboxer/hostapi"
)

// bundle collects the files of a reply with their roles.
type bundle struct {
	roles []string
	files []*os.File
}

func (b *bundle) add(role string, f *os.File) {
	b.roles = append(b.roles, role)
	b.files = append(b.files, f)
}

func (b *bundle) close() {
	for _, f := range b.files {
		_ = f.Close() // nothing was written to it here
	}
	b.roles, b.files = nil, nil
}

// readerTimeout is how long a client may take until it reads the output of what it
// asked for; containerd takes microseconds.
const readerTimeout = 10 * time.Second

// openStdio opens the FIFOs of one process and, if it wants one, a terminal.
func (s *Service) openStdio(ctx context.Context, b *bundle, container string, q hostapi.Stdio) error {
	ctx, cancel := context.WithTimeout(ctx, readerTimeout)
	defer cancel()
	for _, f := range []struct{ role, path string }{
		{hostapi.RoleStdin, q.Stdin}, {hostapi.RoleStdout, q.Stdout}, {hostapi.RoleStderr, q.Stderr},
	} {
		if f.path == "" || f.role == hostapi.RoleStderr && q.Terminal {
			continue
		}
		file, err := s.fifos.open(ctx, container, f.path, f.role != hostapi.RoleStdin)
		if err != nil {
			return err
		}
		b.add(f.role, file)
	}
	if !q.Terminal {
		return nil
	}
	master, slave, err := openPTY()
	if err != nil {
		return fmt.Errorf("terminal of container %s: %w", container, err)
	}
	b.add(hostapi.RolePTY, master)
	b.add(hostapi.RoleTTY, slave)
	return nil
}

// openPTY makes a pseudo terminal. Its keys send no signals: the guest is no
// process that could get them, the wasm-task acts upon them itself.
func openPTY() (master, slave *os.File, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
	m, err := unix.Open("/dev/ptmx", flags, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(m), "pty")
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	t, err := peer(m, flags)
	if err != nil {
		return nil, nil, fmt.Errorf("other end of the terminal: %w", err)
	}
	slave = os.NewFile(uintptr(t), "tty")
	termios, err := unix.IoctlGetTermios(t, unix.TCGETS)
	if err == nil {
		termios.Lflag &^= unix.ISIG
		err = unix.IoctlSetTermios(t, unix.TCSETS, termios)
	}
	if err != nil {
		_ = slave.Close()
		return nil, nil, fmt.Errorf("settings of the terminal: %w", err)
	}
	return master, slave, nil
}

// peer opens the other end without a path (ioctl_tty(2), TIOCGPTPEER), so that it
// does not matter which devpts is mounted where.
func peer(master int, flags uintptr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
