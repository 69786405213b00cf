package wasmtask

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blazar/sandbox/task"
)

// unread makes a container with a FIFO that nobody reads.
func unread(t *testing.T, args ...string) (*fakeHost, task.Container) {
	t.Helper()
	h := newHost(t, args...)
	h.fifo = filepath.Join(t.TempDir(), "stdout")
	if err := unix.Mkfifo(h.fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return h, create(t, h)
}

// What a guest wrote before it ended is there for whoever reads it later, to the end.
func TestOutputOutlastsTheGuest(t *testing.T) {
	h, c := unread(t, "echo", "last words", "")
	start(t, c)
	wait(t, c)
	time.Sleep(5 * readerPoll)
	if got := read(t, h.open(os.O_RDONLY)); got != "last words\n" {
		t.Errorf("read %q", got)
	}
}

// Whoever reads sees the end of the output with the guest's, not later.
func TestOutputEndsForItsReader(t *testing.T) {
	h := newHost(t, "echo", "last words", "")
	h.fifo = filepath.Join(t.TempDir(), "stdout")
	if err := unix.Mkfifo(h.fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := h.open(os.O_RDONLY)
	c := create(t, h)
	start(t, c)
	wait(t, c)
	if p := c.(*container).process; len(p.outlast.ends) > 0 {
		t.Error("the writing end is still held after the exit")
	}
	if got := read(t, r); got != "last words\n" {
		t.Errorf("read %q", got)
	}
}

// A container that is deleted keeps nothing, and is not kept by its output.
func TestDeleteGivesUnreadOutputUp(t *testing.T) {
	h, c := unread(t, "echo", "last words", "")
	start(t, c)
	wait(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if got := read(t, h.open(os.O_RDONLY)); got != "" {
		t.Errorf("read %q", got)
	}
}

// A guest that writes and is not read waits; it can be killed and deleted all the same.
func TestKillOfABlockedWriter(t *testing.T) {
	h, c := unread(t, "fill", "1000000")
	start(t, c)
	full := h.open(os.O_RDWR)
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if n, err := unix.IoctlGetInt(int(full.Fd()), unix.TIOCINQ); err != nil {
			t.Fatal(err)
		} else if n >= 60<<10 {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the FIFO does not fill")
		}
	}
	_ = full.Close()
	time.Sleep(20 * time.Millisecond)
	begin := time.Now()
	kill(t, c, syscall.SIGKILL)
	if got := wait(t, c); got != 137 {
		t.Errorf("exit code %d", got)
	}
	if d := time.Since(begin); d > 500*time.Millisecond {
		t.Errorf("the kill took %v", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Delete(ctx); err != nil {
		t.Error(err)
	}
	if _, err := os.OpenFile(h.fifo, os.O_WRONLY|unix.O_NONBLOCK, 0); !errors.Is(err, unix.ENXIO) {
		t.Errorf("somebody still has the FIFO open: %v", err)
	}
}
