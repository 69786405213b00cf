package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// maxSocket is the longest path that fits into a sockaddr_un.
const maxSocket = 107

// dialTimeout is how long a socket that is in the way may take to answer.
const dialTimeout = time.Second

// listen binds a unix socket that only its owner may use. A socket that nobody
// answers on any more is replaced; one that somebody answers on is an error.
func listen(ctx context.Context, socket string) (net.Listener, error) {
	if len(socket) > maxSocket {
		return nil, fmt.Errorf("socket %s: the path is longer than %d bytes: %w", socket, maxSocket, errdefs.ErrInvalidArgument)
	}
	dir := filepath.Dir(socket)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("socket %s: %w", socket, err)
	}
	// Two processes that start at the same time must not both find a stale socket.
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", socket, err)
	}
	defer func() { _ = lock.Close() }() // nothing was written
	if err := flock(ctx, lock); err != nil {
		return nil, fmt.Errorf("socket %s: lock %s: %w", socket, dir, err)
	}
	if err := removeStale(ctx, socket); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// Before bind, this is the mode that the file will have.
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(cerr, err)
	}}
	l, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", socket, err)
	}
	return l, nil
}

// flock takes the lock of a directory, which is held for milliseconds only.
func flock(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// removeStale removes a stale socket.
func removeStale(ctx context.Context, socket string) error {
	info, err := os.Lstat(socket)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket %s: %w", socket, err)
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is in the way and no socket, remove it: %w", socket, errdefs.ErrAlreadyExists)
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", socket)
	if err == nil {
		_ = conn.Close() // it was only a question
		return fmt.Errorf("socket %s: another process serves it, stop that one first: %w", socket, errdefs.ErrAlreadyExists)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("socket %s: cannot tell whether another process serves it: %w", socket, err)
	}
	if err := os.Remove(socket); err != nil {
		return fmt.Errorf("stale socket %s: %w", socket, err)
	}
	return nil
}
