package wasmtask

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Control characters that a terminal acts upon, as stty shows them by default. A
// guest cannot change its terminal's settings.
const (
	keyInterrupt = 0x03 // ^C
	keyEnd       = 0x04 // ^D
	keyQuit      = 0x1c // ^\
)

// drainTimeout bounds how long output is handed on to a reader that does not read
// after the guest has ended.
const drainTimeout = 10 * time.Second

// terminal copies between a pseudo terminal and the FIFOs that containerd reads
// and writes.
type terminal struct {
	master        *os.File
	stdin, stdout *os.File
	interrupt     func(syscall.Signal)

	input, output sync.WaitGroup
}

func newTerminal(s *streams, interrupt func(syscall.Signal)) *terminal {
	return &terminal{master: s.pty, stdin: s.stdin, stdout: s.stdout, interrupt: interrupt}
}

// start begins to copy; drain ends it.
func (t *terminal) start() {
	if t.stdin != nil {
		t.input.Go(t.copyInput)
	}
	t.output.Go(t.copyOutput)
}

// copyInput hands on what is typed. The terminal's process group is empty, since a
// guest is no process: the keys that would signal it are acted upon here.
func (t *terminal) copyInput() {
	buf := make([]byte, 4096)
	for {
		n, err := t.stdin.Read(buf)
		for _, b := range buf[:n] {
			switch b {
			case keyInterrupt:
				t.interrupt(syscall.SIGINT)
			case keyQuit:
				t.interrupt(syscall.SIGQUIT)
			}
		}
		if n > 0 {
			if _, err := t.master.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// copyOutput ends with EIO when the guest's side is closed and everything was read.
func (t *terminal) copyOutput() {
	if t.stdout == nil {
		_, _ = io.Copy(io.Discard, t.master)
		return
	}
	_, _ = io.CopyBuffer(struct{ io.Writer }{t.stdout}, struct{ io.Reader }{t.master}, make([]byte, 4096))
	// Whoever reads may be gone: let the guest write on.
	_, _ = io.Copy(io.Discard, t.master)
}

// drain returns when the output was handed on; the guest's side is closed.
func (t *terminal) drain() {
	if t.stdin != nil {
		_ = t.stdin.SetReadDeadline(time.Unix(1, 0))
	}
	if t.stdout != nil {
		_ = t.stdout.SetWriteDeadline(time.Now().Add(drainTimeout))
	}
	t.output.Wait()
	_ = t.master.Close()
	t.input.Wait()
}

// endInput is what ^D at the start of a line is.
func (t *terminal) endInput() error {
	_, err := t.master.Write([]byte{keyEnd})
	return err
}

func (t *terminal) resize(width, height uint32) error {
	if width > 0xffff || height > 0xffff {
		return fmt.Errorf("terminal of %d×%d: %w", width, height, unix.EINVAL)
	}
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	var ioctl error
	if err := raw.Control(func(fd uintptr) {
		ioctl = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	}); err != nil {
		return err
	}
	return ioctl
}
