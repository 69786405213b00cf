package stdio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Waiting for a reader starts with short pauses, since it is usually there.
const (
	firstPause   = 50 * time.Microsecond
	longestPause = 10 * time.Millisecond
)

// AwaitReader opens the FIFO at path for writing as soon as somebody has it open for
// reading, or is about to. The caller closes the file once it has opened the FIFO for
// its own use, not before: the reader would take that for the end of the output.
//
// containerd opens its end in a goroutine of its own, after which it asks for the
// task without waiting for it (github.com/containerd/fifo, OpenFifo with
// O_NONBLOCK). What a short process writes and closes before that is lost with the
// pipe, and containerd then waits for ever for another writer. So an output is
// handed to a process only after this. The error is ctx's when that ends first.
func AwaitReader(ctx context.Context, path string) (*os.File, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EINTR) {
			return nil, &os.PathError{Op: "open FIFO", Path: path, Err: err}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody reads the FIFO %s: %w", path, ctx.Err())
		case <-time.After(pause):
		}
	}
}
