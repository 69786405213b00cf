package stdio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endOfFile is what a terminal in its usual mode takes for the end of the input.
const endOfFile = 4

// Pty makes a pseudo terminal. The slave is opened without a path, so that neither
// /dev/pts nor the mount namespace matters.
func Pty() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	var unlocked int32
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlocked)))
	if errno != 0 {
		return nil, nil, errors.Join(fmt.Errorf("unlock pty: %w", errno), unix.Close(fd))
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errors.Join(fmt.Errorf("open slave of pty: %w", errno), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), os.NewFile(peer, "pty"), nil
}

// Terminal joins the master of a pseudo terminal to the FIFOs of a process.
type Terminal struct {
	master *os.File
	stdin  *Input
	relay  Relay
}

// NewTerminal joins master, which it owns from now on, also after an error, to the
// FIFOs; an empty path means none. The caller hands the slave to the process and
// closes its own copy of it.
func NewTerminal(master *os.File, stdin, stdout string) (*Terminal, error) {
	t := &Terminal{master: master}
	if err := t.join(stdin, stdout); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Terminal) join(stdin, stdout string) error {
	var to *os.File
	var err error
	if stdout == "" {
		// The output must be read all the same, or the process would wait.
		to, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	} else {
		to, err = Output(stdout, ForGo)
	}
	if err != nil {
		return err
	}
	if stdin != "" {
		if t.stdin, err = OpenInput(stdin, ForGo); err != nil {
			return errors.Join(err, to.Close())
		}
		t.relay.Input(t.master, t.stdin, func() {
			// A terminal has no end of its own: it is a character. If the process
			// has ended there is nobody to tell.
			_, _ = t.master.Write([]byte{endOfFile})
		})
	}
	t.relay.Output(to, t.master)
	return nil
}

// Resize changes the size, in characters; the process gets SIGWINCH.
func (t *Terminal) Resize(_ context.Context, width, height uint32) error {
	c, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	size := &unix.Winsize{Col: uint16(min(width, 1<<16-1)), Row: uint16(min(height, 1<<16-1))}
	cerr := c.Control(func(fd uintptr) { err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	return errors.Join(err, cerr)
}

// CloseStdin ends the input, once its last writer has gone.
func (t *Terminal) CloseStdin(context.Context) error {
	if t.stdin == nil {
		return nil
	}
	return t.stdin.CloseStdin()
}

// Wait returns when all output of a process that has ended was handed on, or when
// ctx has ended.
func (t *Terminal) Wait(ctx context.Context) error { return t.relay.Wait(ctx) }

// Close closes the terminal, which hangs up whoever still uses it. Idempotent.
func (t *Terminal) Close() error {
	err := t.relay.Close()
	if cerr := t.master.Close(); !errors.Is(cerr, os.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	return err
}
