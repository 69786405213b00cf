package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// child starts a shell command as Adopt wants it.
func child(t testing.TB, command string) *Handle {
	t.Helper()
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", command}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{PidFD: &pidfd},
	})
	check(t, err)
	h, err := Adopt(pid, pidfd)
	check(t, err)
	t.Cleanup(func() {
		if err := h.Signal(syscall.SIGKILL); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = h.Wait(ctx) // some tests have closed it
		check(t, h.Close())
	})
	return h
}

// stranger starts a shell command as somebody else's child, which its parent reaps
// when it reads a line, and returns its pid.
func stranger(t testing.TB, command string) (pid int, reap func()) {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", "("+command+") & echo $!; read line; wait")
	in, err := c.StdinPipe()
	check(t, err)
	out, err := c.StdoutPipe()
	check(t, err)
	check(t, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	pid, err = strconv.Atoi(strings.TrimSpace(line))
	check(t, err)
	var once sync.Once
	end := func() {
		check(t, in.Close())
		check(t, c.Wait())
	}
	t.Cleanup(func() {
		once.Do(func() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // its own until it is reaped
			end()
		})
	})
	return pid, func() { once.Do(end) }
}

func open(t testing.TB, pid int) *Handle {
	t.Helper()
	ref, err := RefOf(pid)
	check(t, err)
	h, err := Open(ref)
	check(t, err)
	t.Cleanup(func() { check(t, h.Close()) })
	return h
}

func TestChildExit(t *testing.T) {
	for command, want := range map[string]uint32{
		"exit 0": 0, "exit 42": 42, "exit 255": 255, "kill -9 $$": 137, "kill -15 $$": 143, "kill -6 $$": 134,
	} {
		h := child(t, command)
		begin := time.Now()
		for range 3 {
			e, err := h.Wait(t.Context())
			if err != nil || !e.Known || e.Status != want || e.At.Before(begin) {
				t.Errorf("%s: %+v, %v, want %d", command, e, err, want)
			}
		}
		if err := syscall.Kill(h.Ref().Pid, 0); err != syscall.ESRCH {
			t.Errorf("%s: the child was not reaped: %v", command, err)
		}
		if err := h.Signal(syscall.SIGTERM); !errdefs.IsNotFound(err) {
			t.Errorf("%s: signal after the end: %v", command, err)
		}
	}
}

// TestStrangerExit waits for a process that is no child, and learns its exit code
// (Linux 6.15) when its parent has reaped it.
func TestStrangerExit(t *testing.T) {
	pid, reap := stranger(t, "sleep 0.05; exit 7")
	h := open(t, pid)
	time.AfterFunc(300*time.Millisecond, reap)
	e, err := h.Wait(t.Context())
	if err != nil || !e.Known || e.Status != 7 {
		t.Errorf("exit %+v, %v", e, err)
	}
}

// TestStrangerNeverReaped has a parent that leaves a zombie: the end is told all
// the same, without its manner.
func TestStrangerNeverReaped(t *testing.T) {
	c := exec.Command("/bin/sh", "-c", "(sleep 0.05; exit 7) & echo $!; exec sleep 60") // sleep reaps nobody
	out, err := c.StdoutPipe()
	check(t, err)
	check(t, c.Start())
	defer func() {
		check(t, c.Process.Kill())
		_ = c.Wait() // killed
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	check(t, err)
	h := open(t, pid)
	begin := time.Now()
	e, err := h.Wait(t.Context())
	if err != nil || e.Known {
		t.Errorf("exit %+v, %v", e, err)
	}
	if d := time.Since(begin); d > reapGrace+5*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestSignalStranger(t *testing.T) {
	pid, reap := stranger(t, "exec sleep 60")
	h := open(t, pid)
	check(t, h.Signal(0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
	check(t, h.Signal(syscall.SIGTERM))
	time.AfterFunc(20*time.Millisecond, reap)
	if e, err := h.Wait(t.Context()); err != nil || e.Status != 143 {
		t.Errorf("exit %+v, %v", e, err)
	}
}

// TestPidReuse makes the kernel give a pid again and opens the old process.
func TestPidReuse(t *testing.T) {
	testneeds.Root(t)
	old := child(t, "exit 0")
	ref := old.Ref()
	_, err := old.Wait(t.Context())
	check(t, err)
	if _, err := Open(ref); !errdefs.IsNotFound(err) {
		t.Errorf("open of an ended process: %v", err)
	}
	next := takePid(t, ref.Pid)
	now, err := RefOf(next)
	check(t, err)
	if now.Pid != ref.Pid || now.StartTime == ref.StartTime {
		t.Fatalf("process %+v in place of %+v: the test shows nothing", now, ref)
	}
	if _, err := Open(ref); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "now it is one") {
		t.Errorf("open of another process with the same pid: %v", err)
	}
	if err := old.Signal(syscall.SIGKILL); !errdefs.IsNotFound(err) {
		t.Errorf("signal to the old process: %v", err)
	}
	if err := syscall.Kill(next, 0); err != nil {
		t.Errorf("the new process got it: %v", err)
	}
}

// takePid starts a process with a given pid, by clone3's set_tid, which is how
// checkpoints are restored.
func takePid(t *testing.T, pid int) int {
	t.Helper()
	time.Sleep(20 * time.Millisecond) // another clock tick
	// ns_last_pid is how to choose the next pid from a shell.
	for range 50 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Fatalf("choose the next pid: %v", err)
		}
		h := child(t, "exec sleep 60")
		if h.Ref().Pid == pid {
			return pid
		}
	}
	t.Fatalf("pid %d was not given again", pid)
	return 0
}

func TestCloseWakesWaiters(t *testing.T) {
	h := open(t, os.Getpid())
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := h.Wait(t.Context())
			errs <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	check(t, h.Close())
	for range 3 {
		if err := <-errs; !errdefs.IsUnavailable(err) {
			t.Errorf("wait: %v", err)
		}
	}
	if err := h.Signal(0); !errdefs.IsUnavailable(err) {
		t.Errorf("signal: %v", err)
	}
	check(t, h.Close())
	goleak.VerifyNone(t)
}

// TestNoThreads waits for many processes at once: a waiter costs no thread, and no
// CPU while nothing happens.
func TestNoThreads(t *testing.T) {
	const n = 100
	var hs []*Handle
	for range n {
		h := child(t, "exec sleep 60")
		hs = append(hs, h)
		go func() { _, _ = h.Wait(context.Background()) }() // ends with the process
	}
	time.Sleep(50 * time.Millisecond)
	tasks, err := os.ReadDir("/proc/self/task")
	check(t, err)
	if len(tasks) > 20+runtime.GOMAXPROCS(0) {
		t.Errorf("%d threads for %d waiters", len(tasks), n)
	}
	before := cpu(t)
	time.Sleep(200 * time.Millisecond)
	if used := cpu(t) - before; used > 50*time.Millisecond {
		t.Errorf("%v of CPU while nothing happened", used)
	}
	for _, h := range hs {
		check(t, h.Signal(syscall.SIGKILL))
	}
	for _, h := range hs {
		if e, err := h.Wait(t.Context()); err != nil || e.Status != 137 {
			t.Errorf("exit %+v, %v", e, err)
		}
	}
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var ru unix.Rusage
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &ru))
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func TestStartTime(t *testing.T) {
	tail := " S" + strings.Repeat(" 1", 18) + " 4711 0 0"
	for stat, want := range map[string]uint64{
		"1 (sh)" + tail: 4711, "1 (a b)" + tail: 4711, "1 (a) S 1 (b)" + tail: 4711, "1 (" + ")" + ")" + tail: 4711,
	} {
		if got, err := startTime([]byte(stat)); err != nil || got != want {
			t.Errorf("%q: %d, %v", stat, got, err)
		}
	}
	for _, stat := range []string{"", "1 (sh", "1 (sh) S 1 2", fmt.Sprint("1 (sh)", strings.Replace(tail, "4711", "x", 1))} {
		if _, err := startTime([]byte(stat)); err == nil {
			t.Errorf("%q was read", stat)
		}
	}
	if _, err := RefOf(0); !errdefs.IsInvalidArgument(err) {
		t.Errorf("pid 0: %v", err)
	}
	if _, err := Open(Ref{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no process: %v", err)
	}
}
