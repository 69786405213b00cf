package proc

import (
	"os/exec"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// TestThen: called once with what Wait says, whether somebody waited before or not.
func TestThen(t *testing.T) {
	for name, before := range map[string]bool{"first": false, "after a Wait began": true} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "read x; exit 7")
			in, err := cmd.StdinPipe()
			check(t, err)
			check(t, cmd.Start())
			ref, err := RefOf(cmd.Process.Pid)
			check(t, err)
			h, err := Open(ref)
			check(t, err)
			if before {
				h.Done()
			}
			got := make(chan Exit, 2)
			h.Then(func(e Exit, err error) {
				if err != nil {
					t.Error(err)
				}
				got <- e
			})
			check(t, in.Close())
			select {
			case e := <-got:
				if e.Known && e.Status != 7 {
					t.Errorf("%+v", e)
				}
			case <-time.After(30 * time.Second):
				t.Error("not called")
			}
			check(t, h.Close())
			_ = cmd.Wait() // reaped by the handle
			if len(got) > 0 {
				t.Error("called twice")
			}
		})
	}
}

// TestThenClosed: Close ends it with the error that Wait gives, and waits for it.
func TestThenClosed(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	check(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	ref, err := RefOf(cmd.Process.Pid)
	check(t, err)
	h, err := Open(ref)
	check(t, err)
	var said error
	h.Then(func(_ Exit, err error) { said = err })
	check(t, h.Close())
	if !errdefs.IsUnavailable(said) {
		t.Errorf("%v", said)
	}
}
