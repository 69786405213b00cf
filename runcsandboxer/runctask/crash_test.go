package runctask

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"blazar/internal/proc"
	"blazar/sandbox/task/taskapi"
)

// buildShim builds containerd-shim-blazar-v1.
func buildShim(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "shim")
	c := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/containerd-shim-blazar-v1")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// giveUp is what containerd does with a container whose task server went away.
func (c *ctr) giveUp(shim string) {
	c.Helper()
	cmd := exec.CommandContext(c.Context(), shim, "-namespace", "testing", "-id", c.id, "-bundle", c.bundle, "delete")
	cmd.Dir = c.bundle
	if out, err := cmd.CombinedOutput(); err != nil {
		c.Fatalf("shim delete: %v\n%s", err, out)
	}
	c.stdout.end()
	c.stderr.end()
	c.removeBundle()
}

// A task server that was killed is followed by one that serves the same containers,
// where containerd has not given them up because it was away too.
func TestRecover(t *testing.T) {
	d := newDaemon(t)
	created := d.create("sleep")
	running := d.run("cat")
	_, err := running.stdin.WriteString("before")
	d.must(err)
	running.says("before")
	added := running.exec("e", false, "sleep")
	added.says("sleeping")
	killed := d.run("sleep")
	ended := d.run("exit", "7")
	ended.exits(7)
	ending := d.run("cat")
	d.kill()
	d.must(ending.stdin.Close()) // its end comes while nobody is there
	pid := killed.pidNow()
	d.must(syscall.Kill(pid, syscall.SIGKILL))
	d.eventually("the killed one is gone", func() bool { _, err := proc.RefOf(pid); return err != nil })

	d = d.startDaemon()
	if s := d.stateOf(running.id); s.GetStatus() != taskapi.Status_RUNNING || s.GetPid() != uint32(running.pidNow()) {
		t.Errorf("running: %v", s)
	}
	if s := d.stateOf(created.id); s.GetStatus() != taskapi.Status_CREATED {
		t.Errorf("created: %v", s)
	}
	for _, c := range []*ctr{created, running, ended, killed, ending} {
		c.node = d.node
	}
	_, err = running.stdin.WriteString("after")
	d.must(err)
	running.says("beforeafter")
	running.execEnds(added)
	second := running.exec("second", false, "exit", "3")
	running.execExits("second", 3)
	second.stdout.end()
	second.stderr.end()
	ended.exits(7)
	ended.delete()
	killed.exits(255) // somebody else was its parent
	killed.delete()
	created.start()
	created.says("sleeping")
	created.end()
	d.must(d.tasks.CloseIO(d.call(), &taskapi.CloseIORequest{Id: running.id, Stdin: true}))
	d.must(running.stdin.Close())
	running.end0()
	r, err := d.tasks.Wait(d.call(), &taskapi.WaitRequest{Id: ending.id})
	d.must(err)
	if s := r.GetExitStatus(); s != 137 && s != 255 && s != 0 {
		t.Errorf("exit %d", s)
	}
	ending.delete()
	d.stopDaemon()
	d.clean()
}

// pidNow reads the pid that the runtime wrote.
func (c *ctr) pidNow() int {
	c.Helper()
	ref, err := readPid(filepath.Join(c.state, "taskd", "c", c.id, pidName))
	c.must(err)
	return ref.Pid
}

func (c *ctr) execEnds(e *ctr) {
	c.Helper()
	c.must(c.tasks.Kill(c.call(), &taskapi.KillRequest{Id: c.id, ExecId: "e", Signal: 9}))
	r, err := c.tasks.Wait(c.call(), &taskapi.WaitRequest{Id: c.id, ExecId: "e"})
	c.must(err)
	if s := r.GetExitStatus(); s != 137 && s != 255 {
		c.Errorf("exec of an earlier task server exited with %d", s)
	}
	_, err = c.tasks.Delete(c.call(), &taskapi.DeleteRequest{Id: c.id, ExecId: "e"})
	c.must(err)
	e.stdout.end()
	e.stderr.end()
}

func (c *ctr) end0() {
	c.Helper()
	r, err := c.tasks.Wait(c.call(), &taskapi.WaitRequest{Id: c.id})
	c.must(err)
	if s := r.GetExitStatus(); s != 0 && s != 255 {
		c.Errorf("exit %d", s)
	}
	c.delete()
}

// What containerd has given up is ended by the shim's delete, in every phase, whether
// a new task server is there or not; and by the new task server where the shim was not
// called.
func TestGivenUp(t *testing.T) {
	shim := buildShim(t)
	for _, restarted := range []bool{false, true} {
		d := newDaemon(t)
		all := []*ctr{d.create("sleep"), d.run("sleep"), d.run("deaf"), d.run("exit", "0")}
		all[1].says("sleeping")
		e := all[1].exec("e", false, "sleep")
		e.says("sleeping")
		paused := d.run("spin")
		d.must(d.tasks.Pause(d.call(), &taskapi.PauseRequest{Id: paused.id}))
		d.kill()
		if restarted {
			d = d.startDaemon()
		}
		for _, c := range append(all, paused) {
			c.giveUp(shim)
		}
		e.stdout.end()
		e.stderr.end()
		if !restarted {
			d = d.startDaemon()
		}
		d.eventually("the task server has forgotten them", func() bool {
			entries, err := os.ReadDir(filepath.Join(d.state, "taskd", "c"))
			return err == nil && len(entries) == 0
		})
		d.stopDaemon()
		d.clean()
	}
	d := newDaemon(t)
	c := d.run("sleep")
	d.kill()
	d.must(os.Remove(filepath.Join(c.bundle, linkName)))
	d = d.startDaemon()
	d.must(os.Rename(c.bundle, c.bundle+".gone"))
	d.eventually("the bundle's container is gone", func() bool {
		_, err := os.Stat(filepath.Join(d.state, "taskd", "c", c.id))
		return errors.Is(err, os.ErrNotExist)
	})
	c.stdout.end()
	c.stderr.end()
	d.must(syscall.Unmount(filepath.Join(c.bundle+".gone", "rootfs"), syscall.MNT_DETACH))
	d.stopDaemon()
	d.clean()
}

// A task server that is killed while the runtime works leaves nothing.
func TestKilledWhileStarting(t *testing.T) {
	real := runtimeOf(t)
	shim := buildShim(t)
	slow := filepath.Join(t.TempDir(), "runtime")
	for _, when := range []string{"before", "after"} {
		script := "#!/bin/sh\ncase \"$*\" in *' run '*) touch " + slow + ".called; exec sleep 1000;; esac\nexec " + real + " \"$@\"\n"
		if when == "after" {
			script = "#!/bin/sh\n" + real + " \"$@\" || exit\ncase \"$*\" in *' run '*) touch " + slow + ".called; exec sleep 1000;; esac\n"
		}
		if err := os.WriteFile(slow, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, served := range []bool{false, true} {
			d := newDaemon(t, func(c *Config) { c.Binary = slow })
			_ = os.Remove(slow + ".called") // there in the second round
			c := d.create("sleep")
			go func() { _, _ = d.tasks.Start(d.call(), &taskapi.StartRequest{Id: c.id}) }() // fails
			d.eventually("the runtime is called", func() bool { _, err := os.Stat(slow + ".called"); return err == nil })
			d.kill()
			if served { // containerd was away and finds the container created
				if err := os.WriteFile(slow, []byte("#!/bin/sh\nexec "+real+" \"$@\"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
				d = d.startDaemon()
				c.node = d.node
				if s := d.stateOf(c.id); s.GetStatus() != taskapi.Status_CREATED {
					t.Errorf("killed %s: %v", when, s)
				}
				if when == "after" {
					c.start() // anew
					c.says("sleeping")
				}
				c.kill(syscall.SIGKILL)
				c.exits(137)
				c.delete()
			} else {
				c.giveUp(shim)
				d = d.startDaemon()
			}
			d.stopDaemon()
			time.Sleep(10 * time.Millisecond)
			d.clean()
		}
	}
}
