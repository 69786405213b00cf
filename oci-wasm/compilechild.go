package ociwasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Descriptors that ExecCompiler's child inherits.
const (
	childModule = 3
	childOutput = 4
)

// ChildOptions is what the child's command line says.
type ChildOptions struct {
	Memory, Output int64 // bytes
	CPU            time.Duration
	// UID is the user to become, 0 for none.
	UID int
	// Confined says that the process executed itself after it was confined.
	Confined bool
	// Again, if not nil, says how this program executes itself, with those arguments,
	// where it is another one that starts it (a loader). It is called before the change
	// of user and may open files, as descriptors to inherit.
	Again func(args []string) (path string, argv, env []string, err error)
}

// CompileChild is the other side of ExecCompiler, called by the child's main with
// what the flags say. It limits the process, gives up its privileges and executes
// itself again, with --confined, since no_new_privs is a thread's and only a new
// program has no thread without it. Then it forbids itself most of the kernel and calls compile with the module and the
// directory to fill. It returns the exit code; errors go to stderr.
func CompileChild(ctx context.Context, o ChildOptions, compile func(ctx context.Context, module []byte, dir string) error) int {
	var err error
	if o.Confined {
		go endWithParent()
		debug.SetMemoryLimit(o.Memory / 10 * 8)
		// Nobody but root may look into its memory, whatever their user.
		if err = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err == nil {
			err = endOnFaults()
		}
		if err == nil {
			err = forbid()
		}
		if err == nil {
			err = compileMapped(ctx, compile)
		}
	} else {
		err = confineChild(o)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.ENOSPC):
		err = fmt.Errorf("%w: no space left in the compile cache", err)
	}
	_, _ = fmt.Fprintln(os.Stderr, err) // the exit code tells too
	switch {
	case errdefs.IsInvalidArgument(err):
		return exitInvalid
	case errdefs.IsNotImplemented(err):
		return exitUnsupported
	}
	return 1
}

// endWithParent ends the process when stdin, a pipe that only the parent holds,
// does; a parent-death signal would not survive the change of user.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin) // any end of it means the same
	os.Exit(1)
}

// confineChild returns only when it failed. Its order: what needs privilege, then
// giving it up.
func confineChild(o ChildOptions) error {
	cpu := uint64(max(1, (o.CPU+time.Second-1)/time.Second))
	for _, l := range []struct {
		what  string
		which int
		value uint64
	}{
		// Private writable memory, not address space: engines reserve much of that.
		{"memory", unix.RLIMIT_DATA, uint64(o.Memory)},
		{"CPU time", unix.RLIMIT_CPU, cpu},
		{"output size", unix.RLIMIT_FSIZE, uint64(o.Output)},
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"descriptors", unix.RLIMIT_NOFILE, 256},
	} {
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limiting %s to %d: %w", l.what, l.value, err)
		}
	}
	if err := unix.CloseRange(childOutput+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("closing inherited descriptors: %w", err)
	}
	// The magic link, since the directories above the binary will be closed.
	path, argv, env := "/proc/self/exe", append(slices.Clone(os.Args), "--confined"), os.Environ()
	if o.Again != nil {
		var err error
		if path, argv, env, err = o.Again(argv[1:]); err != nil {
			return err
		}
	}
	if o.UID != 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(o.UID, o.UID, o.UID), syscall.Setresuid(o.UID, o.UID, o.UID)); err != nil {
			return fmt.Errorf("changing to uid %d: %w", o.UID, err)
		}
	}
	runtime.LockOSThread() // until the program is replaced
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	err := syscall.Exec(path, argv, env)
	return fmt.Errorf("executing this program again as uid %d, which needs read and execute permission for everyone on it: %w", o.UID, err)
}

func compileMapped(ctx context.Context, compile func(ctx context.Context, module []byte, dir string) error) error {
	var st unix.Stat_t
	if err := unix.Fstat(childModule, &st); err != nil {
		return fmt.Errorf("descriptor %d must be the module: %w", childModule, err)
	}
	if st.Size <= 0 || st.Size > MaxModuleSize {
		return fmt.Errorf("the module has %d bytes: %w", st.Size, errdefs.ErrInvalidArgument)
	}
	module, err := unix.Mmap(childModule, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("mapping the module: %w", err)
	}
	// Through the descriptor, since the way to the directory is closed to this user.
	return compile(ctx, module, fmt.Sprintf("/proc/self/fd/%d", childOutput))
}
