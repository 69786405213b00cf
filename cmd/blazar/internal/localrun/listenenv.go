package localrun

import (
	"strconv"
	"strings"
)

// firstPreopen is the descriptor behind stdin, stdout and stderr.
const firstPreopen = 3

// listenEnv tells the guest where its listeners are, as in a pod:
// BLAZAR_LISTEN_FDS lists their descriptors, LISTEN_FDS counts them as systemd's
// protocol does.
func listenEnv(preopens, listeners int) []string {
	if listeners == 0 {
		return nil
	}
	fds := make([]string, listeners)
	for i := range fds {
		fds[i] = strconv.Itoa(firstPreopen + preopens + i)
	}
	return []string{"BLAZAR_LISTEN_FDS=" + strings.Join(fds, ","), "LISTEN_FDS=" + strconv.Itoa(listeners)}
}
