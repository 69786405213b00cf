package wasmtask

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	"github.com/containerd/errdefs"

	"blazar/sandbox/task"
)

func TestExitCodeAndOutput(t *testing.T) {
	h := newHost(t, "echo", "out", "err")
	c := create(t, h)
	start(t, c)
	if got := wait(t, c); got != 0 {
		t.Errorf("exit code %d", got)
	}
	// The ends of both streams: nobody else has them open.
	if out, errs := read(t, h.stdout), read(t, h.stderr); out != "out\n" || errs != "err\n" {
		t.Errorf("stdout %q, stderr %q", out, errs)
	}
	if err := c.Kill(t.Context(), syscall.SIGKILL, false); !errdefs.IsNotFound(err) {
		t.Errorf("kill after the end: %v", err)
	}
	if len(h.reports) > 0 {
		t.Errorf("an exit of its own was reported: %v", h.reports)
	}
	h = newHost(t, "exit", "42")
	c = create(t, h)
	start(t, c)
	if got := wait(t, c); got != 42 {
		t.Errorf("exit code %d", got)
	}
}

func TestTrap(t *testing.T) {
	h := newHost(t, "trap")
	c := create(t, h)
	start(t, c)
	if got := wait(t, c); got != 134 {
		t.Errorf("exit code %d", got)
	}
	words := read(t, h.stderr)
	for _, part := range []string{"unreachable", "/guest.wasm", "main"} {
		if !strings.Contains(words, part) {
			t.Errorf("%q does not say %q", words, part)
		}
	}
	if len(h.reports) != 1 || h.reports[0].Status != 134 || h.reports[0].Message != words {
		t.Errorf("reports %+v", h.reports)
	}
}

func TestOutOfMemory(t *testing.T) {
	h := newHost(t, "leak")
	h.reply.MemoryLimit = 16 << 20
	c := create(t, h)
	start(t, c)
	if got := wait(t, c); got != 137 {
		t.Errorf("exit code %d", got)
	}
	if words := read(t, h.stderr); !strings.Contains(words, "memory limit of 16 MiB exceeded") {
		t.Errorf("stderr %q", words)
	}
	n := 0
	for range c.(task.OOMNotifier).OOM() {
		n++
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
	m, err := c.(task.Meter).Stats(t.Context())
	if err != nil || m.(*cgroup1.Metrics).GetMemoryOomControl().GetOomKill() != 1 {
		t.Errorf("statistics %v, %v", m, err)
	}
}

// Every signal does what it does by default, wherever the guest is.
func TestSignals(t *testing.T) {
	for _, s := range []struct {
		program string
		signal  syscall.Signal
		status  uint32
	}{
		{"spin", syscall.SIGKILL, 137}, {"cat", syscall.SIGKILL, 137}, {"sleep", syscall.SIGTERM, 143},
		{"sleep", syscall.SIGINT, 130}, {"spin", syscall.SIGHUP, 129}, {"cat", syscall.SIGUSR1, 138},
	} {
		t.Run(s.program+" "+s.signal.String(), func(t *testing.T) {
			h := newHost(t, s.program)
			c := create(t, h)
			start(t, c)
			time.Sleep(20 * time.Millisecond)
			for _, harmless := range []syscall.Signal{0, syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGCONT} {
				kill(t, c, harmless)
			}
			if err := c.Kill(t.Context(), syscall.SIGSTOP, false); !errdefs.IsNotImplemented(err) {
				t.Errorf("SIGSTOP: %v", err)
			}
			if err := c.Kill(t.Context(), 65, false); !errdefs.IsInvalidArgument(err) {
				t.Errorf("signal 65: %v", err)
			}
			began := time.Now()
			kill(t, c, s.signal)
			if got := wait(t, c); got != s.status {
				t.Errorf("exit code %d, not %d", got, s.status)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestKilledBeforeStart(t *testing.T) {
	c := create(t, newHost(t, "sleep"))
	kill(t, c, syscall.SIGKILL)
	if got := wait(t, c); got != 137 {
		t.Errorf("exit code %d", got)
	}
	if _, err := c.Start(t.Context()); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start: %v", err)
	}
}

func TestDeleteEndsWhatRuns(t *testing.T) {
	h := newHost(t, "spin")
	c := create(t, h)
	start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if len(h.removed) != 1 {
		t.Errorf("removed %v", h.removed)
	}
}

func TestStdin(t *testing.T) {
	h := newHost(t, "cat")
	c := create(t, h)
	start(t, c)
	if _, err := h.stdin.WriteString("some\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, h.stdout, "some\n")
	if err := c.(task.StdinCloser).CloseStdin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != 0 {
		t.Errorf("exit code %d", got)
	}
}

func TestExecs(t *testing.T) {
	h := newHost(t, "sleep")
	c := create(t, h)
	start(t, c)
	readUntil(t, h.stdout, "sleeping\n")

	x := execOf(t, c, "exit", "9")
	start(t, x)
	if got := wait(t, x); got != 9 {
		t.Errorf("exit code %d", got)
	}
	// What runs beside the first process ends with it.
	y := execOf(t, c, "spin")
	start(t, y)
	late := execOf(t, c, "exit", "0")
	kill(t, c, syscall.SIGKILL)
	if got := wait(t, c); got != 137 {
		t.Errorf("exit code %d", got)
	}
	if got := wait(t, y); got != 137 {
		t.Errorf("exit code of the exec %d", got)
	}
	if _, err := late.Start(t.Context()); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start of an exec afterwards: %v", err)
	}
	if _, err := c.Exec(t.Context(), &task.ExecRequest{ID: "z"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("exec of nothing: %v", err)
	}
}

func TestStats(t *testing.T) {
	c := create(t, newHost(t, "spin"))
	start(t, c)
	time.Sleep(300 * time.Millisecond)
	m, err := c.(task.Meter).Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := m.(*cgroup1.Metrics)
	if cpu := time.Duration(s.GetCPU().GetUsage().GetTotal()); cpu < 20*time.Millisecond || cpu > 350*time.Millisecond {
		t.Errorf("%v of CPU time in 300 ms of spinning", cpu)
	}
	if memory := s.GetMemory().GetUsage().GetUsage(); memory < 64<<10 || memory > 16<<20 {
		t.Errorf("%d bytes of memory", memory)
	}
	kill(t, c, syscall.SIGKILL)
	wait(t, c)
	again, err := c.(task.Meter).Stats(t.Context())
	if err != nil || again.(*cgroup1.Metrics).GetCPU().GetUsage().GetTotal() < s.GetCPU().GetUsage().GetTotal() {
		t.Errorf("after the end %v, %v", again, err)
	}
}

func TestTerminal(t *testing.T) {
	h := newHost(t, "cat")
	h.pty = true
	c := create(t, h)
	start(t, c)
	if err := c.(task.Resizer).Resize(t.Context(), 132, 43); err != nil {
		t.Fatal(err)
	}
	if _, err := h.stdin.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, h.stdout, "typed\r\ntyped\r\n") // the echo, and what cat says
	if err := c.(task.StdinCloser).CloseStdin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != 0 {
		t.Errorf("exit code %d", got)
	}
	read(t, h.stdout) // it ends
}

func TestInterruptKey(t *testing.T) {
	for key, status := range map[string]uint32{"\x03": 130, "\x1c": 131} {
		h := newHost(t, "sleep")
		h.pty = true
		c := create(t, h)
		start(t, c)
		readUntil(t, h.stdout, "sleeping\r\n")
		if _, err := h.stdin.WriteString(key); err != nil {
			t.Fatal(err)
		}
		if got := wait(t, c); got != status {
			t.Errorf("%q: exit code %d, not %d", key, got, status)
		}
	}
}

func TestRefusals(t *testing.T) {
	h := newHost(t, "exit", "0")
	h.reply.Module.Entry = "no_such_export"
	r := New(h, registry(), h.hello())
	if _, err := r.Create(t.Context(), &task.CreateRequest{ID: "c"}); !errdefs.IsNotFound(err) {
		t.Errorf("an export that is not there: %v", err)
	}
	if len(h.removed) != 1 {
		t.Errorf("the files of a refused container stay: %v", h.removed)
	}
	h.reply.Module.Entry = "_start"
	h.reply.Preopens = append(h.reply.Preopens, hostPreopen("/not/there"))
	if _, err := r.Create(t.Context(), &task.CreateRequest{ID: "c"}); err == nil {
		t.Error("a directory that is not there was taken")
	}
	if _, err := r.Create(t.Context(), &task.CreateRequest{ID: "c", Checkpoint: "/x"}); !errdefs.IsNotImplemented(err) {
		t.Errorf("a checkpoint: %v", err)
	}
	if len(r.modules.loaded) > 0 {
		t.Errorf("%d modules stay loaded", len(r.modules.loaded))
	}
}
