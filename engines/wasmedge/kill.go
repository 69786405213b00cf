//go:build cgo && linux && amd64

package wasmedge

/*
#include "glue.h"
*/
import "C"

import "time"

const (
	// killGrace is what a guest that was blocked in a host call gets to leave it:
	// most guests are, and need no more.
	killGrace = 2 * time.Millisecond
	// killInterval is how long a set stop token is given to be seen.
	killInterval = time.Millisecond
)

// stopping bounds how many stops, each with a thread of the library, are under way
// in the process.
var stopping = make(chan struct{}, 4)

// Kill implements engines.Instance.
func (i *instance) Kill() {
	i.config.System.Kill()
	i.mu.Lock()
	i.killed = true
	started := i.started
	i.mu.Unlock()
	if !started || i.ends(killGrace) {
		return
	}
	// The token is taken by the first look at it, which may come from a call on the
	// way to the guest: so it is set until the guest has ended.
	for pause := killInterval; ; pause = min(2*pause, 50*time.Millisecond) {
		stopping <- struct{}{}
		i.stop()
		<-stopping
		if i.ends(pause) {
			return
		}
	}
}

// ends waits that long for Run to return.
func (i *instance) ends(in time.Duration) bool {
	t := time.NewTimer(in)
	defer t.Stop()
	select {
	case <-i.done:
		return true
	case <-t.C:
		return false
	}
}

// stop sets the stop token. Close waits meanwhile, and Run does not.
func (i *instance) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running() {
		C.bz_we_stop(i.c)
	}
}
