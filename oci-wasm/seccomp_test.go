package ociwasm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// offend does what a compiler that was taken over might do, and reports what was not
// refused. Each call would fail, or do no harm, without a filter too, but otherwise.
func offend(_ []byte, dir string) error {
	report := "tried\n"
	for name, c := range map[string]struct {
		nr, a, b, c uintptr
		want        unix.Errno
	}{
		"socket":       {unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0, unix.EPERM},
		"unshare":      {unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0, unix.EPERM},
		"clone":        {unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, unix.EPERM},
		"clone3":       {unix.SYS_CLONE3, 0, 0, 0, unix.ENOSYS},
		"execve":       {unix.SYS_EXECVE, 0, 0, 0, unix.EPERM},
		"execveat":     {unix.SYS_EXECVEAT, ^uintptr(0), 0, 0, unix.EPERM},
		"ptrace":       {unix.SYS_PTRACE, ^uintptr(0), 0, 0, unix.EPERM},
		"bpf":          {unix.SYS_BPF, ^uintptr(0), 0, 0, unix.EPERM},
		"io_uring":     {unix.SYS_IO_URING_SETUP, 1, 0, 0, unix.EPERM},
		"keyctl":       {unix.SYS_KEYCTL, ^uintptr(0), 0, 0, unix.EPERM},
		"userfaultfd":  {unix.SYS_USERFAULTFD, ^uintptr(0), 0, 0, unix.EPERM},
		"mount":        {unix.SYS_MOUNT, 0, 0, 0, unix.EPERM},
		"seccomp":      {unix.SYS_SECCOMP, ^uintptr(0), 0, 0, unix.EPERM},
		"pidfd_getfd":  {unix.SYS_PIDFD_GETFD, ^uintptr(0), 0, 0, unix.EPERM},
		"x32 getpid":   {x32Bit | unix.SYS_GETPID, 0, 0, 0, unix.ENOSYS},
		"what is none": {9999, 0, 0, 0, unix.ENOSYS},
	} {
		if _, _, errno := unix.RawSyscall(c.nr, c.a, c.b, c.c); !errors.Is(errno, c.want) {
			report += fmt.Sprintf("OFFENCE %s: %v, want %v\n", name, errno, c.want)
		}
	}
	return os.WriteFile(filepath.Join(dir, "report"), []byte(report), 0o600)
}

func TestCompilerIsFiltered(t *testing.T) {
	dir := outDir(t)
	if err := execCompiler(CompileLimits{}).Compile(t.Context(), "offend", moduleFile(t), dir); err != nil {
		t.Fatal(err)
	}
	report, err := os.ReadFile(filepath.Join(dir, "report"))
	if err != nil || !strings.HasPrefix(string(report), "tried\n") || strings.Contains(string(report), "OFFENCE") {
		t.Errorf("%s %v", report, err)
	}
}
