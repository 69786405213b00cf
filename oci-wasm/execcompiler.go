package ociwasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/userns"
	"golang.org/x/sys/unix"
)

// Compilers run as users of their own when root starts them, from CompileUID on, each
// as another by chance: outside the ranges of distributions, of systemd and, unless
// others are configured, of pods (package idrange).
// Of the same user, one that a hostile module has taken over could write into the
// memory of another, and so into the code of somebody else's module.
const (
	CompileUID  = 0x7ffe0000
	CompileUIDs = 65536
)

// CompileLimits bound one compilation.
type CompileLimits struct {
	// Memory is the private memory it may have, in bytes. 0: 2 GiB.
	Memory int64
	// CPU is the processor time it may use. 0: 4 minutes.
	CPU time.Duration
	// Wall is how long it may take. 0: 4 minutes.
	Wall time.Duration
	// Output bounds each file it writes, in bytes. 0: 2 GiB.
	Output int64
}

func (l CompileLimits) defaults() CompileLimits {
	if l.Memory <= 0 {
		l.Memory = 2 << 30
	}
	if l.CPU <= 0 {
		l.CPU = 4 * time.Minute
	}
	if l.Wall <= 0 {
		l.Wall = 4 * time.Minute
	}
	if l.Output <= 0 {
		l.Output = 2 << 30
	}
	return l
}

// ExecCompiler compiles in a short-lived child, `Binary Args… --engine E`, which
// calls CompileChild. Safe for concurrent use.
type ExecCompiler struct {
	// Binary is the program. Empty: this one, /proc/self/exe.
	Binary string
	// Args precede the flags. nil: compile.
	Args []string
	// Env is the child's environment. nil: PATH and nothing else.
	Env    []string
	Limits CompileLimits
}

var _ Compiler = (*ExecCompiler)(nil)

// Exit codes of the child, besides 0: kinds of errors that must survive.
const (
	exitInvalid     = 65 // EX_DATAERR of sysexits.h
	exitUnsupported = 69 // EX_UNAVAILABLE
)

// maxStderr bounds what is kept of a child's stderr, in bytes.
const maxStderr = 2 << 10

// LimitError says which limit ended a compilation; it is
// errdefs.ErrResourceExhausted.
type LimitError struct {
	// Limit is "memory", "CPU time", "time" or "output size".
	Limit string
	// Value is the limit, for people.
	Value string
	// Stderr is what the compiler said, maybe nothing.
	Stderr string
}

// Error is one line, without Stderr.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the compiler reached its limit of %s %s; use a smaller module or raise the limit", e.Value, e.Limit)
}

// Unwrap returns the errdefs kind.
func (e *LimitError) Unwrap() error { return errdefs.ErrResourceExhausted }

// Compile implements Compiler.
func (x *ExecCompiler) Compile(ctx context.Context, engine string, module *os.File, dir string) error {
	limits := x.Limits.defaults()
	out, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // only handed on
	uid := someUID(compileUID())
	if uid != 0 {
		if err := out.Chown(uid, uid); err != nil {
			return fmt.Errorf("handing the output directory to the compiler: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limits.Wall)
	defer cancel()
	stderr := &tail{max: maxStderr}
	cmd := x.command(ctx, engine, limits, uid)
	cmd.ExtraFiles = []*os.File{module, out} // childModule, childOutput
	cmd.Stderr = stderr
	life, err := cmd.StdinPipe() // its end tells the child that its parent died
	if err != nil {
		return err
	}
	err = cmd.Start()
	if err == nil {
		p := priorityOf(ctx)
		p.started(cmd.Process.Pid) // which leads a session, and so a group
		err = cmd.Wait()
		p.ended()
	}
	_ = life.Close() // Wait closed it already unless the start failed
	if err == nil {
		return nil
	}
	return explain(ctx, err, cmd.ProcessState, limits, stderr.String())
}

func (x *ExecCompiler) command(ctx context.Context, engine string, l CompileLimits, uid int) *exec.Cmd {
	binary, args := x.Binary, x.Args
	self := binary == ""
	if self {
		binary = "/proc/self/exe"
	}
	if args == nil {
		args = []string{"compile"}
	}
	args = append(append([]string(nil), args...), "--engine", engine,
		"--memory", strconv.FormatInt(l.Memory, 10),
		"--cpu", l.CPU.String(),
		"--output", strconv.FormatInt(l.Output, 10),
		"--uid", strconv.Itoa(uid))
	cmd := exec.CommandContext(ctx, binary, args...)
	if self {
		cmd.Args[0] = os.Args[0] // what ps shows
	}
	cmd.Env = x.Env
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if uid != 0 {
		// Of its own: processes, so that all end with the first; network and the rest,
		// so that there is nothing to reach.
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	}
	return cmd
}

// compileUID is the first of the users a child may become, 0 for the one it has: changing it and
// making namespaces takes root with the usual capabilities, outside a user
// namespace. Without, the limits hold all the same.
var compileUID = sync.OnceValue(func() int {
	const needed = 1<<unix.CAP_CHOWN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SYS_ADMIN
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if os.Geteuid() != 0 || userns.RunningInUserNS() || unix.Capget(&head, &data[0]) != nil || data[0].Effective&needed != needed {
		return 0
	}
	return CompileUID
})

// someUID is one of the users from first on; 0 if that is.
func someUID(first int) int {
	if first == 0 {
		return 0
	}
	return first + rand.IntN(CompileUIDs)
}

// explain finds out what ended the child.
func explain(ctx context.Context, err error, state *os.ProcessState, l CompileLimits, stderr string) error {
	if state == nil {
		return fmt.Errorf("starting the compiler: %w", err)
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	usage, _ := state.SysUsage().(*syscall.Rusage)
	cpu := state.SystemTime() + state.UserTime()
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &LimitError{Limit: "time", Value: l.Wall.String(), Stderr: stderr}
	case ctx.Err() != nil:
		return fmt.Errorf("the compilation was given up: %w", context.Cause(ctx))
	case status.Signaled() && cpu >= l.CPU/2: // the kernel counts in ticks, and less exactly
		return &LimitError{Limit: "CPU time", Value: l.CPU.String(), Stderr: stderr}
	case status.ExitStatus() == exitInvalid:
		return fmt.Errorf("%s: %w", lastLines(stderr), errdefs.ErrInvalidArgument)
	case status.ExitStatus() == exitUnsupported:
		return fmt.Errorf("%s: %w", lastLines(stderr), errdefs.ErrNotImplemented)
	case outOfMemory(stderr) || usage != nil && usage.Maxrss<<10 >= l.Memory/4*3:
		return &LimitError{Limit: "memory", Value: fmt.Sprintf("%d MiB", l.Memory>>20), Stderr: stderr}
	case strings.Contains(stderr, syscall.EFBIG.Error()):
		return &LimitError{Limit: "output size", Value: fmt.Sprintf("%d MiB", l.Output>>20), Stderr: stderr}
	}
	if status.Signaled() && status.Signal() == syscall.SIGKILL {
		return fmt.Errorf("the compiler was killed from outside, probably for want of memory on this host: %w", errdefs.ErrResourceExhausted)
	}
	return fmt.Errorf("the compiler ended with %s: %s: %w", state, lastLines(stderr), errdefs.ErrInternal)
}

// outOfMemory knows what Go, Rust and C++ say when they are refused memory.
func outOfMemory(stderr string) bool {
	for _, s := range []string{"out of memory", "cannot allocate memory", "memory allocation of", "bad_alloc", "failed to allocate", "pthread_create failed",
		"resource temporarily unavailable" /* a thread without memory for its stack */} {
		if strings.Contains(strings.ToLower(stderr), s) {
			return true
		}
	}
	return false
}

// lastLines shortens a child's stderr to what fits an error.
func lastLines(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return "it said nothing"
	}
	return s
}

// tail keeps the first and the last half of max bytes.
type tail struct {
	max        int
	head, rest []byte
	cut        bool
}

var _ io.Writer = (*tail)(nil)

// Write never fails, so that a talkative child is not blocked.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	room := min(t.max/2-len(t.head), len(p))
	t.head = append(t.head, p[:room]...)
	t.rest = append(t.rest, p[room:]...)
	if over := len(t.rest) - t.max/2; over > 0 {
		t.rest = bytes.Clone(t.rest[over:])
		t.cut = true
	}
	return n, nil
}

func (t *tail) String() string {
	if t.cut {
		return string(t.head) + "\n…\n" + string(t.rest)
	}
	return string(t.head) + string(t.rest)
}
