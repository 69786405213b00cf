// Package prockind is a kind of sandbox for tests, small but real: a pod is a
// process of its own, first in a pid namespace, that serves the Task API on a unix
// socket; a container is a child of it, with FIFOs or a pseudo terminal. Both run
// this same program: a test binary must call Main first in its TestMain.
package prockind

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/containerd/ttrpc"

	"blazar/sandbox/task"
)

// Environment variables that make the program a pod or a container.
const (
	podEnv   = "BLAZAR_PROCKIND_POD"
	guestEnv = "BLAZAR_PROCKIND_GUEST"
)

// Main does not return in the process of a pod or of a container.
func Main() {
	switch {
	case os.Getenv(guestEnv) != "":
		os.Exit(guest(os.Args[1:]))
	case os.Getenv(podEnv) != "":
		if err := servePod(os.Getenv(podEnv)); err != nil {
			fmt.Fprintln(os.Stderr, "prockind pod:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// servePod serves the Task API on a socket until the process is killed. It does not
// begin before the parent has recorded it: the parent says so on descriptor 3, and
// an end of that without a word means that the parent is gone.
func servePod(socket string) error {
	parent := os.NewFile(3, "parent")
	if _, err := parent.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("the parent is gone: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	self, err := hostPid()
	if err != nil {
		return err
	}
	task.NewServer(&runtime{}, task.Options{Pid: self, Runtime: Kind}).Register(server)
	if _, err := parent.Write([]byte{1}); err != nil {
		return err
	}
	if err := parent.Close(); err != nil {
		return err
	}
	return server.Serve(context.Background(), l)
}
