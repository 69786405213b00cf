package hostapi

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// descriptor is f's number without switching it to blocking mode, as Fd would.
func descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if err := raw.Control(func(p uintptr) { fd = int(p) }); err != nil {
		return -1, err
	}
	return fd, nil
}

// parseFiles makes files of what came beside a packet. A descriptor that is in
// non-blocking mode joins Go's poller.
func parseFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, protocolError("control message: %v", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(files)
			return nil, protocolError("control message: %v", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("host file %d", len(files))))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written to it here
	}
}

// spill writes b into a sealed memfd.
func spill(b []byte) (*os.File, error) {
	if len(b) > MaxSpill {
		return nil, protocolError("body of %d bytes is too large", len(b))
	}
	fd, err := unix.MemfdCreate("blazar-message", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd for a large message: %w", err)
	}
	f := os.NewFile(uintptr(fd), "message")
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return nil, err
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// unspill reads such a memfd.
func unspill(f *os.File) ([]byte, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, MaxSpill+1))
	if err != nil {
		return nil, fmt.Errorf("read large message: %w", err)
	}
	if len(b) > MaxSpill {
		return nil, protocolError("body of more than %d bytes", MaxSpill)
	}
	return b, nil
}
