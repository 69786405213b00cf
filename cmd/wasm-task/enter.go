package main

import (
	"context"
	"fmt"
	"os"

	"blazar/internal/confine/boot"
	"blazar/wasmsandboxer/hostapi"
)

// entering is the host service of a wasm-task that is still on its way into the pod's
// cgroups of v1: no container is made before it is there.
type entering struct {
	*hostapi.Client
	there chan struct{}
}

// enterCgroups begins to move this process, through the files that it was given for that;
// without any it is where it should be, or the daemon moves it. It ends if it cannot.
func enterCgroups(client *hostapi.Client, tasks []*os.File) entering {
	e := entering{client, make(chan struct{})}
	if len(tasks) == 0 {
		close(e.there)
		return e
	}
	go func() {
		fds := make([]int32, len(tasks))
		for i, f := range tasks {
			fds[i] = int32(f.Fd())
		}
		if err := boot.EnterCgroups(fds); err != nil {
			fmt.Fprintln(os.Stderr, "wasm-task: enter the cgroup of the pod:", err)
			os.Exit(1)
		}
		for _, f := range tasks {
			_ = f.Close() // written by then
		}
		close(e.there)
	}()
	return e
}

// Call asks the daemon; what makes a container is answered when this process is there.
func (e entering) Call(ctx context.Context, method string, body, reply any) ([]*os.File, error) {
	files, err := e.Client.Call(ctx, method, body, reply)
	if method == hostapi.MethodPrepare {
		<-e.there
	}
	return files, err
}
