package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one that the node started itself: containerd or blazar serve.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it was reaped
}

// joinAndExec puts the shell into the cgroup whose procs file is $1 and becomes the
// rest of its arguments, so that no child is ever outside.
const joinAndExec = `echo $$ >"$1" && shift && exec "$@"`

// spawn starts a program of the node; its output goes to logs/<name>.log.
func (n *Node) spawn(name string, argv ...string) error {
	log, err := os.OpenFile(n.path("logs", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("/bin/sh", append([]string{"-c", joinAndExec, name, n.cgroup.procs()}, argv...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.Env = n.environ()
	// A Ctrl-C at the terminal is for the caller, who stops the node in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	n.processes[name] = p
	return nil
}

// environ finds the shims before any other of the machine.
func (n *Node) environ() []string {
	bin := n.path("bin")
	if n.state.Config.LinuxOnly { // has no programs of its own
		bin = n.state.Config.Bin
	}
	path := strings.Join([]string{bin, n.state.Config.Tools, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, ":")
	return []string{"PATH=" + path, "HOME=/root", "TMPDIR=" + n.path("tmp")}
}

// pid is that of a running process of the node by name, or 0.
func (n *Node) pid(name string) int {
	if p := n.processes[name]; p != nil {
		select {
		case <-p.done:
		default:
			return p.cmd.Process.Pid
		}
	}
	return 0
}

// end ends a process that the node started: signal, then SIGKILL after grace.
func (n *Node) end(name string, signal syscall.Signal, grace time.Duration) {
	p := n.processes[name]
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	delete(n.processes, name)
}

// killRest kills what is left in the node's cgroup, by pidfd: the kernel never gives
// the number to another process between the look and the signal.
func (c *nodeCgroup) killRest(grace time.Duration) error {
	deadline := time.Now().Add(grace)
	for {
		pids := c.pids()
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes that do not die: %s", strings.Join(names(pids), ", "))
		}
		for _, pid := range pids {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue
			}
			if c.holds(pid) {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			}
			_ = unix.Close(fd)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// names describes processes for people.
func names(pids []int) []string {
	var s []string
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		s = append(s, fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))))
	}
	slices.Sort(s)
	return s
}

// startTime is when a process started, in clock ticks since boot (field 22 of
// proc_pid_stat(5)): with the pid it names a process for ever.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return 0, errors.New("unknown format of /proc/pid/stat")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func (n *Node) tool(name string) string { return filepath.Join(n.state.Config.Tools, name) }
func (n *Node) bin(name string) string  { return n.path("bin", name) }
