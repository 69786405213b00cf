package wasmtask

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"blazar/engines/wasip1"
	"blazar/wasmsandboxer/hostapi"
)

// openPreopens opens the container's directories. What is below rootfs may be the
// guest's doing, hence RESOLVE_IN_ROOT; mounts of the container are crossed.
func openPreopens(rootfs string, all []hostapi.Preopen) ([]wasip1.Preopen, error) {
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the container's root %s: %w", rootfs, err)
	}
	defer func() { _ = unix.Close(root) }() // only a path
	var out []wasip1.Preopen
	for _, p := range all {
		fd, err := unix.Openat2(root, p.Guest, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			closePreopens(out)
			return nil, fmt.Errorf("open %s for the guest: %w", p.Guest, err)
		}
		out = append(out, wasip1.Preopen{Guest: p.Guest, Dir: os.NewFile(uintptr(fd), p.Guest), ReadOnly: p.ReadOnly})
	}
	return out, nil
}

func closePreopens(all []wasip1.Preopen) {
	for _, p := range all {
		if p.Dir != nil {
			_ = p.Dir.Close() // only a path
		}
	}
}

// firstPreopen is the descriptor behind stdin, stdout and stderr.
const firstPreopen = 3

// listenEnv tells the guest where its listeners are: BLAZAR_LISTEN_FDS lists their
// descriptors, LISTEN_FDS counts them as systemd's protocol does.
func listenEnv(preopens, listeners int) []string {
	if listeners == 0 {
		return nil
	}
	var fds []string
	for i := range listeners {
		fds = append(fds, strconv.Itoa(firstPreopen+preopens+i))
	}
	return []string{"BLAZAR_LISTEN_FDS=" + strings.Join(fds, ","), "LISTEN_FDS=" + strconv.Itoa(listeners)}
}
