package runctask

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"
	"golang.org/x/sys/unix"
)

// consoleSocket is where the runtime sends the master of a terminal.
type consoleSocket struct {
	dir      string
	listener *net.UnixListener
}

var _ runc.ConsoleSocket = (*consoleSocket)(nil)

// listenConsole makes a socket in a directory of its own below parent, whose path is
// short enough for one.
func listenConsole(parent string) (*consoleSocket, error) {
	dir, err := os.MkdirTemp(parent, "t")
	if err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &consoleSocket{dir: dir, listener: l}, nil
}

// Path of the socket.
func (s *consoleSocket) Path() string { return s.listener.Addr().String() }

func (s *consoleSocket) close() error {
	return errors.Join(s.listener.Close(), os.RemoveAll(s.dir))
}

// receive takes the master after the runtime has come back.
func (s *consoleSocket) receive(ctx context.Context) (*os.File, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.listener.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	conn, err := s.listener.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("the runtime sent no terminal: %w", err)
	}
	defer func() { _ = conn.Close() }() // only read from
	name, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, rights)
	if err != nil {
		return nil, fmt.Errorf("the runtime sent no terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the runtime sent %d messages for a terminal: %w", len(messages), errors.Join(err, errdefs.ErrInternal))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("the runtime sent %d files for a terminal: %w", len(fds), errors.Join(err, errdefs.ErrInternal))
	}
	unix.CloseOnExec(fds[0])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}
