package runctask

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	runc "github.com/containerd/go-runc"
)

// killedWait is how long the output of a command that was killed may be held open by
// processes that it left.
const killedWait = time.Second

// monitorOnce makes monitor go-runc's, for the whole process.
var monitorOnce = sync.OnceFunc(func() { runc.Monitor = monitor{} })

// monitor runs the commands of go-runc: in process groups of their own, which are
// killed with them when their time is over, and with this process.
type monitor struct{}

var _ runc.ProcessMonitor = monitor{}

// Start runs a command.
func (m monitor) Start(c *exec.Cmd) (chan runc.Exit, error) { return m.StartLocked(c) }

// StartLocked runs a command that gets a signal when the thread that made it ends.
func (monitor) StartLocked(c *exec.Cmd) (chan runc.Exit, error) {
	c.SysProcAttr.Setpgid = true
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	c.WaitDelay = killedWait
	c.Cancel = func() error {
		err := syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		return errors.Join(err, c.Process.Kill())
	}
	started := make(chan error, 1)
	ended := make(chan runc.Exit, 1)
	go func() { // ends with the command, which its context ends
		// The parent of the signal is the thread: it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := c.Start()
		started <- err
		if err == nil {
			ended <- runc.Exit{Status: status(c.Wait()), Pid: c.Process.Pid, Timestamp: time.Now()}
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}

// Wait waits for the end of a command.
func (monitor) Wait(_ *exec.Cmd, ended chan runc.Exit) (int, error) {
	e := <-ended
	return e.Status, nil
}

// status is the exit code of a command; -1 for one that a signal ended, or that could
// not be waited for.
func status(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
