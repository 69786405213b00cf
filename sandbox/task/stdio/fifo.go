package stdio

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Mode says who will use a file.
type Mode int

const (
	// ForGo is for this process, through Go's poller: a blocked Read or Write ends
	// when the file is closed.
	ForGo Mode = iota
	// ForChild is for a process that inherits the file and expects it to block.
	ForChild
)

// Output opens a FIFO to write to. Both ends are held, so that writing waits while
// nobody reads, as the writer of a container's output must, and never fails.
func Output(path string, m Mode) (*os.File, error) {
	return open(path, unix.O_RDWR, m)
}

// Input is a FIFO to read from. It comes to its end once CloseStdin was called and
// every other writer has closed it, not when a client goes away that may come back.
// Safe for concurrent use.
type Input struct {
	*os.File
	keep  *os.File
	once  sync.Once
	onErr error
}

// OpenInput opens a FIFO to read from.
func OpenInput(path string, m Mode) (*Input, error) {
	f, err := open(path, unix.O_RDONLY, m)
	if err != nil {
		return nil, err
	}
	keep, err := open(path, unix.O_WRONLY, ForGo)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Input{File: f, keep: keep}, nil
}

// CloseStdin says that no more input comes from here. Idempotent.
func (i *Input) CloseStdin() error {
	i.once.Do(func() { i.onErr = i.keep.Close() })
	return i.onErr
}

// Close closes both ends.
func (i *Input) Close() error {
	return errors.Join(i.CloseStdin(), i.File.Close())
}

// open opens one end of an existing FIFO without waiting for the other end.
func open(path string, access int, m Mode) (*os.File, error) {
	if strings.Contains(path, "://") {
		return nil, fmt.Errorf("stdio %q: only FIFOs are supported: %w", path, errdefs.ErrNotImplemented)
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags:   uint64(access | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NOFOLLOW),
		Resolve: unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open FIFO", Path: path, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = fmt.Errorf("stdio %q is no FIFO: %w", path, errdefs.ErrInvalidArgument)
	}
	if err == nil && m == ForChild {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), path), nil
}
