package wasmtask

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// threads is the cgroup that the container's threads are held to their CPU limits
// by, as far as a process without privilege can touch it: it may put its own threads
// in. The container without limits has none, and all of this does nothing.
type threads struct {
	mu    sync.Mutex // guards files, and is held while the kernel reads or writes them
	files threadFiles
}

// threadFiles are those that the host service sent.
type threadFiles struct {
	enter      []*os.File // take a thread's id, 0 for the one that writes
	throttling *os.File   // cpu.stat
}

func (f threadFiles) close() {
	for _, f := range append(f.enter[:len(f.enter):len(f.enter)], f.throttling) {
		if f != nil {
			_ = f.Close() // closing twice is harmless
		}
	}
}

// replace closes what was there. The zero value is no group.
func (t *threads) replace(files threadFiles) {
	t.mu.Lock()
	old := t.files
	t.files = files
	t.mu.Unlock()
	old.close()
}

// enter puts the calling thread into the group, which the caller has locked and
// never lets anybody else have.
func (t *threads) enter() error { return t.put(0) }

// move puts a running thread into the group. One that has ended is no error.
func (t *threads) move(tid int) error {
	if err := t.put(tid); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (t *threads) put(tid int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files.enter {
		if _, err := f.WriteString(strconv.Itoa(tid)); err != nil {
			return fmt.Errorf("hold the guest's thread to the container's CPU limits: %w", err)
		}
	}
	return nil
}

// throttling is how often the quota held the container's threads up.
type throttling struct {
	periods, throttled uint64
	time               time.Duration
}

// read asks the kernel; all zero without a group.
func (t *threads) read() throttling {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files.throttling == nil {
		return throttling{}
	}
	var b [1024]byte
	n, _ := t.files.throttling.ReadAt(b[:], 0) // shorter than that, hence always with io.EOF
	return parseThrottling(b[:n])
}

// parseThrottling reads a cpu.stat of v1 (the kernel's scheduler/sched-bwc.rst) or of
// v2 (admin-guide/cgroup-v2.rst), which differ in units.
func parseThrottling(text []byte) (out throttling) {
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		n, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "nr_periods":
			out.periods = n
		case "nr_throttled":
			out.throttled = n
		case "throttled_time":
			out.time = time.Duration(n)
		case "throttled_usec":
			out.time = time.Duration(n) * time.Microsecond
		}
	}
	return out
}
