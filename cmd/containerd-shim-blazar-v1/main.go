// How many CPUs its cgroup may use is nothing to a process of a millisecond, and Go reads
// the table of all mounts to know it.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command containerd-shim-blazar-v1 is the shim binary that containerd wants to
// find for the runtime type io.containerd.blazar.v1. It serves nothing: the Task
// API of a pod is served by the pod's own process. containerd runs it to describe
// the runtime (-info) and to clean up after a container (delete), on the path of
// every cold start and every teardown, so it must start in about a millisecond:
// few imports, no generated protobuf code.
//
// How it is called: core/runtime/v2/{binary,command,task_manager}.go of containerd.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"blazar/internal/version"
)

// errStart answers containerd's attempt to start a shim per pod.
var errStart = errors.New("this runtime has no shim process of its own: set `sandboxer` in its runtime entry of containerd's configuration to the name of Blazar's proxy plugin (`blazar install` writes both)")

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "containerd-shim-blazar-v1: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	switch {
	case c.version:
		_, err := fmt.Fprintf(stdout, "containerd-shim-blazar-v1:\n  Version:  %s\n  Revision: %s\n", version.Get(), version.Revision())
		return err
	case c.info:
		answer, err := info(stdin)
		if err != nil {
			return err
		}
		_, err = stdout.Write(answer)
		return err
	case c.action == "delete":
		e, err := cleanUp(c.id, c.bundle)
		if err != nil {
			return err
		}
		_, err = stdout.Write(deleteResponse(e, time.Now()))
		return err
	case c.action == "start":
		return errStart
	}
	return fmt.Errorf("unknown action %q: containerd calls this binary with -info, start or delete", c.action)
}
