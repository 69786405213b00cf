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

// withoutReader makes a container with a FIFO that nobody reads.
func withoutReader(t *testing.T, args ...string) (*fakeHost, task.Container) {
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
	h, c := withoutReader(t, "echo", "last words", "")
	start(t, c)
	wait(t, c)
	time.Sleep(5 * readerPoll)
	if got := read(t, h.open(os.O_RDONLY)); got != "last words\n" {
		t.Errorf("read %q", got)
	}
}

// Whoever reads sees the end of the output with the guest's, not later, and nobody
// hears of the exit before, unless that takes too long.
func TestOutputEndsForItsReader(t *testing.T) {
	h, c := withoutReader(t, "echo", "last words", "")
	r := h.open(os.O_RDONLY)
	start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), takenWithin/4)
	defer cancel()
	if e, err := c.Wait(ctx); err == nil {
		t.Errorf("exit %+v was told before the output was read", e)
	}
	begin := time.Now()
	wait(t, c)
	if d := time.Since(begin); d > 2*takenWithin {
		t.Errorf("the exit waited %v longer", d)
	}
	if p := c.(*container).process; len(p.outlast.ends) > 0 {
		t.Error("the writing end is still held after the exit")
	}
	if got := read(t, r); got != "last words\n" {
		t.Errorf("read %q", got)
	}
}

// A reader that comes to it is not waited for longer than it takes.
func TestExitFollowsTheReader(t *testing.T) {
	h, c := withoutReader(t, "echo", "last words", "")
	r := h.open(os.O_RDONLY)
	start(t, c)
	time.Sleep(50 * time.Millisecond)
	var got [100]byte
	n, err := r.Read(got[:])
	if err != nil || string(got[:n]) != "last words\n" {
		t.Errorf("read %q, %v", got[:n], err)
	}
	begin := time.Now()
	wait(t, c)
	if d := time.Since(begin); d > takenWithin/2 {
		t.Errorf("the exit came %v after the output was read", d)
	}
}

// A container that is deleted keeps nothing, and is not kept by its output.
func TestDeleteGivesUnreadOutputUp(t *testing.T) {
	h, c := withoutReader(t, "echo", "last words", "")
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
	h, c := withoutReader(t, "fill", "1000000")
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
