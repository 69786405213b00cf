package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"
)

// maxUnixPath is the room in sockaddr_un, without the final zero.
const maxUnixPath = 107

// checkSockets says of each sandboxer's socket whether it answers, is free or in
// the way.
func checkSockets(ctx context.Context, h *Host) []Result {
	var results []Result
	for _, kind := range slices.Sorted(maps.Keys(h.Sockets)) {
		daemon, unit := "serve", "blazar"
		if kind == taskServer {
			daemon, unit = "taskd", "blazar-taskd"
		}
		results = append(results, h.checkSocket(ctx, "socket "+kind, h.Sockets[kind], daemon, unit))
	}
	return results
}

// taskServer is the name of the socket that is no sandboxer's.
const taskServer = "taskd"

func (h *Host) checkSocket(ctx context.Context, name, socket, daemon, unit string) Result {
	path := h.path(socket)
	if len(path) > maxUnixPath {
		return Result{Fail, name, fmt.Sprintf("%s has %d bytes", path, len(path)), fmt.Sprintf("choose a shorter directory: a unix socket's path has at most %d bytes", maxUnixPath)}
	}
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Result{Warn, name, path + " is free", "start the daemon: `systemctl start " + unit + "`, or `blazar " + daemon + "`"}
	}
	if err != nil {
		return Result{Fail, name, err.Error(), "run as root"}
	}
	if st.Mode().Type() != fs.ModeSocket {
		return Result{Fail, name, path + " is no socket", "move it away: `blazar " + daemon + "` does not remove files it did not make"}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return Result{Warn, name, path + " has nobody behind it", "start the daemon: it takes the socket over"}
	}
	if err != nil {
		return Result{Fail, name, err.Error(), "see the log of `blazar " + daemon + "`"}
	}
	_ = conn.Close() // nothing was written
	return Result{OK, name, path + " answers", ""}
}
