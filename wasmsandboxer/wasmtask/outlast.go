package wasmtask

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// outlast keeps the output of a process that has ended while nobody reads it: a FIFO
// that nobody has open forgets what is in it, and containerd may just be restarting.
// It holds the FIFOs' writing ends; whoever reads sees the end of the output as soon
// as those are closed.
type outlast struct {
	ends []*os.File
	stop chan struct{}
	once sync.Once
	work sync.WaitGroup
}

// readerPoll is how often it is looked whether somebody reads: containerd waits for
// the end of the output before it asks for anything else.
const readerPoll = 20 * time.Millisecond

func newOutlast(ends []*os.File) *outlast {
	return &outlast{ends: ends, stop: make(chan struct{})}
}

// begin is called once, after everything else that the process had open was closed.
func (o *outlast) begin() {
	o.ends = unheard(o.ends)
	if len(o.ends) == 0 {
		return
	}
	o.work.Go(func() {
		tick := time.NewTicker(readerPoll)
		defer tick.Stop()
		for len(o.ends) > 0 {
			select {
			case <-o.stop:
				return
			case <-tick.C:
				o.ends = unheard(o.ends)
			}
		}
	})
}

// close gives the output up. Idempotent; begin has returned or is not called any more.
func (o *outlast) close() {
	o.once.Do(func() { close(o.stop) })
	o.work.Wait()
	for _, f := range o.ends {
		_ = f.Close() // nothing is written to it
	}
}

// unheard closes the ends of those FIFOs that somebody reads, or that are empty, and
// returns the others.
func unheard(ends []*os.File) (left []*os.File) {
	for _, f := range ends {
		if lost(f) {
			left = append(left, f)
			continue
		}
		_ = f.Close() // nothing was written to it
	}
	return left
}

// lost says whether closing the writing end of a FIFO would lose what is in it.
func lost(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var is bool
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd)}}
		if _, err := unix.Poll(p, 0); err != nil || p[0].Revents&unix.POLLERR == 0 {
			return
		}
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD by another name
		is = err == nil && n > 0
	})
	return err == nil && is
}
