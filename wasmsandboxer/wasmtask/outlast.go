package wasmtask

import (
	"os"
	"slices"
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

// takenWithin bounds how long an exit waits for who reads the output.
const takenWithin = 2 * time.Second

// await returns when what the process wrote was read, or nobody reads, or it takes too
// long. Until then the exit must not be known: containerd deletes the task upon it, and
// that closes a FIFO which the goroutine that opens it, on a busy machine, has not
// handed over yet (github.com/containerd/fifo: the end of OpenFifo's context before
// fifo.opened), with all that is in it. A first read shows that it has.
func (o *outlast) await() {
	const first, longest = 100 * time.Microsecond, 5 * time.Millisecond
	end := time.Now().Add(takenWithin)
	for pause := first; slices.ContainsFunc(o.ends, unread) && time.Now().Before(end); pause = min(2*pause, longest) {
		select {
		case <-o.stop:
			return
		case <-time.After(pause):
		}
	}
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
	full, read := look(f)
	return full && !read
}

// unread says whether there is something in a FIFO, and somebody who may read it.
func unread(f *os.File) bool {
	full, read := look(f)
	return full && read
}

// look says of a FIFO, by its writing end, whether something is in it and whether
// somebody has it open for reading.
func look(f *os.File) (full, read bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, false
	}
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd)}}
		if _, err := unix.Poll(p, 0); err != nil {
			return
		}
		read = p[0].Revents&unix.POLLERR == 0
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD by another name
		full = err == nil && n > 0
	})
	return err == nil && full, err == nil && read
}
