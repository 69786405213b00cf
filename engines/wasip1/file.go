package wasip1

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// file is something open on the host. The guest's calls use fd, which stays open
// while System.run is held.
type file struct {
	// fd is -1 for what Config leaves out: at its end for reading, and every
	// write vanishes; and for what is opened later.
	fd int
	// owner closes fd where the file was given to New; nil if the guest opened it.
	owner *os.File
	// refs counts what holds the file: descriptors, and its tree.
	refs int

	kind filetype
	fifo bool
	// blocking is a file whose owner left it in blocking mode (a terminal shared
	// with a shell): it is asked whether it is ready before it is used.
	blocking bool
	seekable bool

	// later says how to open a directory that has no fd yet; nil for all others.
	later *later

	// ended is set, from any goroutine, when nothing more shall be read or
	// accepted than is there already.
	ended atomic.Bool
}

// pipeBuf is PIPE_BUF: what a pipe that is ready takes without blocking.
const pipeBuf = 4096

// stream says that the file can keep a caller waiting.
func (f *file) stream() bool {
	return f.fd >= 0 && f.kind != filetypeRegular && f.kind != filetypeDirectory
}

// kindOf is the preview 1 type of what a stat says. It has no word for a FIFO.
func kindOf(mode uint32) filetype {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return filetypeRegular
	case unix.S_IFDIR:
		return filetypeDirectory
	case unix.S_IFLNK:
		return filetypeSymlink
	case unix.S_IFCHR:
		return filetypeCharacter
	case unix.S_IFBLK:
		return filetypeBlock
	case unix.S_IFSOCK:
		return filetypeSocketStream
	}
	return filetypeUnknown
}

// newFile describes the open descriptor fd.
func newFile(fd int) (*file, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	f := &file{fd: fd, kind: kindOf(st.Mode), fifo: st.Mode&unix.S_IFMT == unix.S_IFIFO}
	switch f.kind {
	case filetypeRegular, filetypeBlock:
		f.seekable = true
	case filetypeCharacter:
		// A terminal cannot seek, /dev/null can.
		_, err := unix.Seek(fd, 0, unix.SEEK_CUR)
		f.seekable = err == nil
	case filetypeSocketStream:
		if t, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && t == unix.SOCK_DGRAM {
			f.kind = filetypeSocketDgram
		}
	}
	return f, nil
}

// given describes a file that belongs to somebody else until New succeeds.
func given(what string, owner *os.File) (*file, error) {
	conn, err := owner.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var f *file
	var inner error
	err = conn.Control(func(fd uintptr) {
		var fl int
		if f, inner = newFile(int(fd)); inner != nil {
			return
		}
		if fl, inner = unix.FcntlInt(fd, unix.F_GETFL, 0); inner != nil {
			return
		}
		f.owner, f.blocking = owner, fl&unix.O_NONBLOCK == 0
		if f.blocking && f.kind == filetypeSocketStream {
			// A connection that is gone again by the time of accept would block it.
			inner = unix.SetNonblock(int(fd), true)
			f.blocking = false
		}
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", what, owner.Name(), err)
	}
	return f, nil
}

// hold counts one more holder.
func (f *file) hold() *file {
	f.refs++
	return f
}

// release counts one holder less and closes the file after the last.
func (f *file) release() error {
	if f.refs--; f.refs > 0 || f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	if f.owner != nil {
		return f.owner.Close()
	}
	return unix.Close(fd)
}

// stopListening ends a listener, from any goroutine. The owner keeps its
// descriptor from being closed, and reused, meanwhile; one that the guest has
// closed already needs nothing.
func (f *file) stopListening() {
	f.ended.Store(true)
	conn, err := f.owner.SyscallConn()
	if err != nil {
		return
	}
	// An error says that it is closed or was shut down before.
	_ = conn.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}
