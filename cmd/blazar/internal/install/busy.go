package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"blazar/internal/wasmedgelib"
)

// Busy says which processes run the installed binaries, this one excepted: pods
// and the daemon. They are errdefs.ErrFailedPrecondition, nil if there are none.
func Busy(o Options) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	running := map[string][]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if name := o.runs(pid); name != "" {
			running[name] = append(running[name], e.Name())
		}
	}
	if pids := running["wasm-task"]; len(pids) > 0 {
		return fmt.Errorf("%d pods still run (processes %s): remove them first, or use --force and lose them: %w", len(pids), strings.Join(pids, ", "), errdefs.ErrFailedPrecondition)
	}
	if pids := running["pod-reaper"]; len(pids) > 0 {
		return fmt.Errorf("%d pods of Linux containers still run (processes %s): remove them first, or use --force and lose them: %w", len(pids), strings.Join(pids, ", "), errdefs.ErrFailedPrecondition)
	}
	if pids := append(running["blazard"], running["blazar"]...); len(pids) > 0 {
		return fmt.Errorf("a daemon still runs (process %s): `systemctl disable --now blazar blazar-taskd` first, or use --force: %w", strings.Join(pids, ", "), errdefs.ErrFailedPrecondition)
	}
	return nil
}

// runs names the installed binary that the process runs, also an older one that
// an update has replaced; empty if it runs another, or has ended.
func (o Options) runs(pid int) string {
	link := filepath.Join("/proc", strconv.Itoa(pid), "exe")
	target, err := os.Readlink(link)
	if err != nil {
		return ""
	}
	target = strings.TrimSuffix(target, " (deleted)")
	exe, err := os.Stat(link)
	if err != nil {
		return ""
	}
	if filepath.Base(target) == wasmedgelib.Loader {
		return o.loaded(pid)
	}
	for _, b := range binaries {
		path := o.real(o.binary(b.name))
		if target == path {
			return b.name
		}
		// A pod's process sees the host's paths from another place.
		if st, err := os.Stat(path); err == nil && os.SameFile(st, exe) {
			return b.name
		}
	}
	return ""
}

// loaded names the installed binary that the process runs by a loader: the command line
// says so.
func (o Options) loaded(pid int) string {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return "" // it has ended
	}
	args := strings.Split(string(line), "\x00")
	for _, b := range binaries {
		if slices.Contains(args, o.real(o.binary(b.name))) {
			return b.name
		}
	}
	return ""
}
