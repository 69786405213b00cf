// Package proc holds on to processes, also those that are no children of this
// one, without ever mistaking one for another that got its pid.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/containerd/errdefs"
)

// Ref names a process for as long as the machine runs: a pid and when its process
// started. It is what a record on disk keeps.
type Ref struct {
	Pid int `json:"pid"`
	// StartTime is field 22 of /proc/PID/stat (proc_pid_stat(5)): clock ticks
	// since boot.
	StartTime uint64 `json:"start_time"`
}

// RefOf reads the reference of a running process; errdefs.ErrNotFound if there is
// none.
func RefOf(pid int) (Ref, error) {
	if pid <= 0 {
		return Ref{}, fmt.Errorf("process %d: %w", pid, errdefs.ErrInvalidArgument)
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return Ref{}, fmt.Errorf("process %d: %w", pid, errdefs.ErrNotFound)
		}
		return Ref{}, err
	}
	start, err := startTime(b)
	if err != nil {
		return Ref{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Ref{Pid: pid, StartTime: start}, nil
}

// startTime finds field 22 of a stat line. The second field, the command name in
// parentheses, may hold anything, blanks and parentheses too.
func startTime(stat []byte) (uint64, error) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, fmt.Errorf("stat line %q has no command name: %w", stat, errdefs.ErrInternal)
	}
	fields := bytes.Fields(stat[i+1:]) // the first of these is field 3
	if len(fields) < 20 {
		return 0, fmt.Errorf("stat line %q is too short: %w", stat, errdefs.ErrInternal)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}
