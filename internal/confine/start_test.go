package confine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestManyStarts starts and ends 200 processes; none may fail, nothing may stay.
func TestManyStarts(t *testing.T) {
	c := config(t)
	c.Hostname = ""
	before := openFiles(t)
	for i := range 200 {
		p, err := Start(t.Context(), c)
		if err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
		if i%20 == 0 {
			ask(t, p, "hello")
		}
		stop(t, p)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	goleak.VerifyNone(t)
}

func TestSimultaneousStarts(t *testing.T) {
	f, err := Filter(FilterOptions{})
	check(t, err)
	for range 16 {
		c := Config{Binary: probe, Root: newRoot(t), UID: testUID, GID: testUID, Filter: f}
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for range 5 {
				p, err := Start(t.Context(), c)
				check(t, err)
				ask(t, p, "hello")
				stop(t, p)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	for _, tc := range []struct {
		args    []string
		request string
		signal  syscall.Signal
		want    uint32
	}{
		{args: []string{"exit", "0"}, want: 0},
		{args: []string{"exit", "42"}, want: 42},
		{request: "abort", want: 2},
		{signal: syscall.SIGKILL, want: 137},
		{signal: syscall.SIGSEGV, want: 2}, // Go prints its goroutines
	} {
		c := config(t)
		c.Args, c.Stderr = tc.args, nil
		p, err := Start(t.Context(), c)
		check(t, err)
		if tc.request != "" {
			_, err := p.Control.Write([]byte(tc.request))
			check(t, err)
		}
		if tc.signal != 0 {
			ask(t, p, "hello") // its handlers are installed
			check(t, p.Handle().Signal(tc.signal))
		}
		for range 2 {
			e, err := p.Wait(t.Context())
			if err != nil || !e.Known || e.Status != tc.want {
				t.Errorf("%+v: %+v, %v", tc, e, err)
			}
		}
		if err := p.Kill(); err != nil {
			t.Errorf("kill of an ended process: %v", err)
		}
		check(t, p.Close())
		check(t, p.Close())
	}
}

// TestRefused injects failures: each must be told with its reason, and leave
// nothing.
func TestRefused(t *testing.T) {
	plainDir := t.TempDir()
	notELF := filepath.Join(t.TempDir(), "text")
	check(t, os.WriteFile(notELF, []byte("text"), 0o755))
	passwd, err := os.Open("/etc/passwd")
	check(t, err)
	mntNS, err := os.Open("/proc/self/ns/mnt")
	check(t, err)
	t.Cleanup(func() { _, _ = passwd.Close(), mntNS.Close() })
	boom := errors.New("boom")

	for name, tc := range map[string]struct {
		change func(*Config)
		is     error
		text   string
	}{
		"no filter":         {func(c *Config) { c.Filter = nil }, errdefs.ErrInvalidArgument, "seccomp filter"},
		"root's uid":        {func(c *Config) { c.UID = 0 }, errdefs.ErrInvalidArgument, "uid"},
		"root's gid":        {func(c *Config) { c.GID = 0 }, errdefs.ErrInvalidArgument, "gid"},
		"long host name":    {func(c *Config) { c.Hostname = strings.Repeat("x", 65) }, errdefs.ErrInvalidArgument, "host name"},
		"missing root":      {func(c *Config) { c.Root = plainDir + "/none" }, unix.ENOENT, "root"},
		"root not mounted":  {func(c *Config) { c.Root = plainDir }, errdefs.ErrInvalidArgument, "not the mount point"},
		"root of the host":  {func(c *Config) { c.Root = "/" }, errdefs.ErrInvalidArgument, "not the mount point of a tmpfs"},
		"below a root":      {func(c *Config) { c.Root += "/rw" }, errdefs.ErrInvalidArgument, "not the mount point"},
		"file as netns":     {func(c *Config) { c.NetNS = passwd }, errdefs.ErrInvalidArgument, "not a network namespace"},
		"mount ns as netns": {func(c *Config) { c.NetNS = mntNS }, errdefs.ErrInvalidArgument, "not a network namespace"},
		"missing binary":    {func(c *Config) { c.Binary = "/none" }, unix.ENOENT, "none"},
		"not executable":    {func(c *Config) { c.Binary = notELF }, unix.ENOEXEC, "text"},
		"no constructor":    {func(c *Config) { c.Binary = "/bin/true" }, errdefs.ErrInternal, "before it was confined"},
		"bad filter": {func(c *Config) {
			c.Filter = allowAll[:1:1]
			c.Filter = append(c.Filter, c.Filter[0])
			c.Filter[1].Op = 0xffff
		}, unix.EINVAL, "seccomp"},
		"join fails":  {func(c *Config) { c.Join = func() error { return boom } }, boom, "boom"},
		"adopt fails": {func(c *Config) { c.Adopt = func(int) error { return boom } }, boom, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			c.Stderr = nil
			tc.change(&c)
			before := openFiles(t)
			p, err := Start(t.Context(), c)
			if err == nil {
				stop(t, p)
				t.Fatal("started")
			}
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %q (want kind %v and text %q)", err, tc.is, tc.text)
			}
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
			if n := children(t); n != 0 {
				t.Errorf("%d children are left", n)
			}
		})
	}
	goleak.VerifyNone(t)
}

// TestStartDeadline starts an executable that never answers.
func TestStartDeadline(t *testing.T) {
	c := config(t)
	c.Binary, c.Args = "/bin/sleep", []string{"60"}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := Start(ctx, c)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "confine/boot") {
		t.Errorf("error %v", err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if n := children(t); n != 0 {
		t.Errorf("%d children are left", n)
	}
}

// TestUnconfined runs the probe without the variable: the constructor must do
// nothing.
func TestUnconfined(t *testing.T) {
	conn, end, err := controlPair()
	check(t, err)
	null, err := os.Open(os.DevNull)
	check(t, err)
	p, err := os.StartProcess(probe, []string{"probe"}, &os.ProcAttr{Env: []string{}, Files: []*os.File{null, null, os.Stderr, end}})
	check(t, err)
	check(t, errors.Join(end.Close(), null.Close()))
	if r := ask(t, &Process{Control: conn}, "hello"); r.Confined {
		t.Error("an unconfined process says that it is confined")
	}
	check(t, conn.Close())
	_, err = p.Wait()
	check(t, err)
}

// TestOutlivesItsThread starts on a goroutine whose thread ends: the process must
// live on, as it must when the daemon ends.
func TestOutlivesItsThread(t *testing.T) {
	c := config(t)
	c.Join = func() error { return nil } // makes Start use a throwaway thread
	p := start(t, c)
	time.Sleep(50 * time.Millisecond)
	ask(t, p, "hello")
}

func TestOOMScoreAdj(t *testing.T) {
	c := config(t)
	adj := 900
	c.OOMScoreAdj = &adj
	p := start(t, c)
	b, err := os.ReadFile(filepath.Join("/proc", itoa(p.Pid), "oom_score_adj"))
	check(t, err)
	if strings.TrimSpace(string(b)) != "900" {
		t.Errorf("oom_score_adj is %s", b)
	}
}
