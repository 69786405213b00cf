package runctask

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blazar/internal/fdstore"
)

// The environment of a test binary that is to be a task server.
const (
	childState   = "BLAZAR_TEST_TASKD_STATE"
	childBinary  = "BLAZAR_TEST_TASKD_BINARY"
	childTimeout = "BLAZAR_TEST_TASKD_TIMEOUT"
)

// nobody forwards nothing.
type nobody struct{}

func (nobody) Forward(context.Context, string, string, string, []byte) error { return nil }

// serveChild is the task server as a process, which a test can kill.
func serveChild() int {
	timeout, err := time.ParseDuration(os.Getenv(childTimeout))
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		var s *Server
		if s, err = NewServer(ctx, Config{State: os.Getenv(childState), Binary: os.Getenv(childBinary), CommandTimeout: timeout, Keeper: fdstore.Open()}, nobody{}); err == nil {
			err = s.Serve(ctx, func() {})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// daemon is a task server that is a process.
type daemon struct {
	*node
	process *os.Process
}

// startDaemon starts it and connects.
func (n *node) startDaemon() *daemon {
	n.Helper()
	self, err := os.Executable()
	n.must(err)
	// Task servers of other tests were in this process: orphans are init's again.
	n.must(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0))
	c := exec.Command("/bin/sh", "-c", "export LISTEN_PID=$$; exec "+self)
	c.Env = append(os.Environ(), childState+"="+n.state, childBinary+"="+n.config.Binary, childTimeout+"="+n.config.CommandTimeout.String())
	c.Stderr = os.Stderr
	if n.manager != nil {
		c.Env = append(c.Env, n.manager.environment()...)
		c.ExtraFiles = n.manager.files()
	}
	n.must(c.Start())
	for _, f := range c.ExtraFiles {
		n.must(f.Close())
	}
	n.Cleanup(func() {
		if !n.Failed() {
			return
		}
		_ = c.Process.Kill() // it has ended
		_, _ = c.Process.Wait()
		n.serve()
		n.endAll()
		n.stop()
	})
	n.eventually("the task server answers", func() bool {
		conn, err := net.Dial("unix", Socket(n.state))
		if err == nil {
			_ = conn.Close() // only tried
		}
		return err == nil
	})
	n.dial()
	return &daemon{node: n, process: c.Process}
}

// kill ends it as a crash would.
func (d *daemon) kill() {
	d.Helper()
	d.must(d.process.Kill())
	_, err := d.process.Wait()
	d.must(err)
	_ = d.conn.Close() // the other side is gone
}

// stopDaemon ends it in order.
func (d *daemon) stopDaemon() {
	d.Helper()
	d.must(d.process.Signal(syscall.SIGTERM))
	s, err := d.process.Wait()
	d.must(err)
	if !s.Success() {
		d.Errorf("the task server: %v", s)
	}
	_ = d.conn.Close() // the other side is gone
}

// newDaemon makes a node whose task server is a process.
func newDaemon(t testing.TB, change ...func(*Config)) *daemon {
	t.Helper()
	n := emptyNode(t, change...)
	n.must(os.MkdirAll(n.state, 0o711))
	return n.startDaemon()
}
