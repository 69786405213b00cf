package doctor

import (
	"net"
	"testing"
)

// listener is a unix socket of a test.
type listener struct{ *net.UnixListener }

func listen(t *testing.T, path string) listener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return listener{l}
}

// die closes the socket and leaves its file, as a process that was killed does.
func (l listener) die() {
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}
