package runctask

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"blazar/internal/proc"
)

// manager keeps descriptors as systemd does.
type manager struct {
	path string
	conn *net.UnixConn

	mu    sync.Mutex // guards names and kept
	names []string
	kept  []*os.File
}

func newManager(t *testing.T) *manager {
	m := &manager{path: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m.conn = conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.serve(t)
	}()
	t.Cleanup(func() {
		_ = conn.Close() // ends serve
		<-done
	})
	return m
}

func (m *manager) serve(t *testing.T) {
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	for {
		n, r, _, _, err := m.conn.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		fields := strings.Split(string(text[:n]), "\n")
		name := strings.TrimPrefix(fields[len(fields)-1], "FDNAME=")
		m.mu.Lock()
		switch {
		case fields[0] == "FDSTORE=1" && slices.Contains(fields, "FDPOLL=0"):
			messages, err := unix.ParseSocketControlMessage(rights[:r])
			if err != nil {
				t.Error(err)
				break
			}
			fds, err := unix.ParseUnixRights(&messages[0])
			if err != nil {
				t.Error(err)
				break
			}
			m.names, m.kept = append(m.names, name), append(m.kept, os.NewFile(uintptr(fds[0]), name))
		case fields[0] == "FDSTOREREMOVE=1":
			for i := len(m.names) - 1; i >= 0; i-- {
				if m.names[i] == name {
					_ = m.kept[i].Close() // not written
					m.names, m.kept = slices.Delete(m.names, i, i+1), slices.Delete(m.kept, i, i+1)
				}
			}
		}
		m.mu.Unlock()
	}
}

func (m *manager) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.kept)
}

// files are copies of what is kept.
func (m *manager) files() []*os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*os.File
	for _, f := range m.kept {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			out = append(out, os.NewFile(uintptr(fd), f.Name()))
		}
	}
	return out
}

func (m *manager) environment() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []string{
		"NOTIFY_SOCKET=" + m.path, fmt.Sprint("LISTEN_FDS=", len(m.names)), "LISTEN_FDNAMES=" + strings.Join(m.names, ":"),
	}
}

// With a service manager that keeps descriptors, the exit of a container that ended
// while no task server was there is known.
func TestKeptExit(t *testing.T) {
	n := emptyNode(t)
	n.must(os.MkdirAll(n.state, 0o711))
	n.manager = newManager(t)
	d := n.startDaemon()
	killed, ended, running := d.run("sleep"), d.run("cat"), d.run("sleep")
	d.must(ended.stdin.Close())
	d.eventually("three are kept", func() bool { return n.manager.count() == 3 })
	d.kill() // with it the writer of ended's input
	d.must(syscall.Kill(killed.pidNow(), syscall.SIGKILL))
	for _, c := range []*ctr{killed, ended} {
		pid := c.pidThen()
		d.eventually("it is reaped", func() bool { _, err := proc.RefOf(pid); return err != nil })
	}
	d = d.startDaemon()
	killed.exits(137)
	killed.delete()
	ended.exits(0)
	ended.delete()
	d.eventually("one is kept", func() bool { return n.manager.count() == 1 })
	running.end()
	d.eventually("none is kept", func() bool { return n.manager.count() == 0 })
	d.stopDaemon()
	d.clean()
}

// pidThen reads the pid of a process that may have ended.
func (c *ctr) pidThen() (pid int) {
	c.Helper()
	b, err := os.ReadFile(filepath.Join(c.state, "taskd", "c", c.id, pidName))
	c.must(err)
	_, err = fmt.Sscan(string(b), &pid)
	c.must(err)
	return pid
}
