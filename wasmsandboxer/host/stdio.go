package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
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
	for _, f := range []struct{ role, end, path string }{
		{hostapi.RoleStdin, "", q.Stdin},
		{hostapi.RoleStdout, hostapi.RoleStdoutEnd, q.Stdout}, {hostapi.RoleStderr, hostapi.RoleStderrEnd, q.Stderr},
	} {
		if f.path == "" || f.role == hostapi.RoleStderr && q.Terminal {
			continue
		}
		file, end, err := s.fifos.open(ctx, container, f.path, f.end != "")
		if err != nil {
			return err
		}
		b.add(f.role, file)
		if end != nil {
			b.add(f.end, end)
		}
	}
	if !q.Terminal {
		return nil
	}
	master, slave, err := s.ptys.open()
	if err != nil {
		return fmt.Errorf("terminal of container %s: %w", container, err)
	}
	b.add(hostapi.RolePTY, master)
	b.add(hostapi.RoleTTY, slave)
	return nil
}

// ptys makes the terminals of one pod, from a supply of its own: those of the host are
// few, and a wasm-task that was taken over would keep them all. The zero value is
// ready.
type ptys struct {
	mu     sync.Mutex // guards the fields below
	fs     *mnt.Detached
	closed bool
}

// maxTerminals bounds the terminals that one pod has at a time.
const maxTerminals = 64

func (p *ptys) supply() (*mnt.Detached, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("pod is being removed: %w", errdefs.ErrUnavailable)
	}
	if p.fs != nil {
		return p.fs, nil
	}
	fs, err := mnt.Devpts(maxTerminals)
	p.fs = fs
	return fs, err
}

// close lets go of the supply; terminals that are open stay.
func (p *ptys) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.fs != nil {
		_ = p.fs.Close() // attached nowhere
		p.fs = nil
	}
}

// open makes a pseudo terminal. Its keys send no signals: the guest is no process
// that could get them, the wasm-task acts upon them itself.
func (p *ptys) open() (master, slave *os.File, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
	fs, err := p.supply()
	if err != nil {
		return nil, nil, err
	}
	master, err = fs.OpenTerminal(flags)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("the pod has %d terminals already, or the host too many: %w: %w", maxTerminals, err, errdefs.ErrResourceExhausted)
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	m, err := descriptor(master)
	if err != nil {
		return nil, nil, err
	}
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

// descriptor is f's number without switching it to blocking mode, as Fd would.
func descriptor(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd, err
}

// reopen opens what f stands for again, with flags of open(2).
func reopen(f *os.File, flags int) (*os.File, error) {
	n, err := descriptor(f)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", n), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
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
