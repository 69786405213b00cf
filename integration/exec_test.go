package integration

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containerd/console"

	"blazar/internal/node"
)

func TestExec(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	c := busy("sleep")
	c.Envs = append(c.Envs, env("COLOUR", "blue"))
	k := p.start(t, c)
	k.says(t, "sleeping")

	t.Run("another module", func(t *testing.T) {
		out, err := k.exec(t, "/raw.wasm", "hello")
		if err != nil {
			t.Fatal(err)
		}
		contains(t, out, "hello from raw wasm")
	})
	t.Run("another export", func(t *testing.T) {
		out, err := k.exec(t, "/raw.wasm#greet")
		if err != nil {
			t.Fatal(err)
		}
		contains(t, out, "greetings from an export")
	})
	t.Run("same environment and files", func(t *testing.T) {
		out, err := k.exec(t, "/app.wasm", "env")
		if err != nil {
			t.Fatal(err)
		}
		contains(t, out, "COLOUR=blue", "FROM_IMAGE=yes")
		out, err = k.exec(t, "/app.wasm", "cat", "/etc/greeting")
		if err != nil {
			t.Fatal(err)
		}
		contains(t, out, "from the image")
	})
	t.Run("exit code", func(t *testing.T) {
		_, err := k.exec(t, "/app.wasm", "exit", "9")
		if err == nil {
			t.Fatal("crictl exec succeeded")
		}
		contains(t, err.Error(), "9")
	})
	t.Run("trap", func(t *testing.T) {
		_, err := k.exec(t, "/raw.wasm", "trap")
		if err == nil {
			t.Fatal("crictl exec succeeded")
		}
		contains(t, err.Error(), "134")
	})
	t.Run("no such module", func(t *testing.T) {
		_, err := k.exec(t, "/bin/sh")
		if err == nil {
			t.Fatal("crictl exec succeeded")
		}
		contains(t, err.Error(), "/bin/sh")
	})
	t.Run("no such export", func(t *testing.T) {
		_, err := k.exec(t, "/raw.wasm#nothing")
		if err == nil {
			t.Fatal("crictl exec succeeded")
		}
		contains(t, err.Error(), "nothing")
	})
	t.Run("timeout", func(t *testing.T) {
		_, err := theNode.Crictl(t.Context(), "exec", "--sync", "--timeout", "1", k.ID, "/app.wasm", "spin")
		if err == nil {
			t.Fatal("crictl exec succeeded")
		}
		contains(t, err.Error(), "timeout")
		// Not only its caller is rid of it.
		pid := podPid(t, p)
		eventually(t, "the pod's process has nothing to do", func() bool {
			before := ticks(t, pid)
			time.Sleep(200 * time.Millisecond)
			return ticks(t, pid) < before+5
		})
	})
	t.Run("input", func(t *testing.T) {
		cmd := theNode.CrictlCommand(t.Context(), "exec", "-i", k.ID, "/app.wasm", "lines")
		cmd.Stdin = strings.NewReader("first\nsecond\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		contains(t, string(out), "read: first", "read: second", "end of input")
	})
	// All of this left the container as it was.
	if s := k.inspect(t); s.State != "CONTAINER_RUNNING" {
		t.Errorf("the container is %s", s.State)
	}
}

// terminal runs crictl with a terminal of its own and returns the other end.
func terminal(t *testing.T, args ...string) (tty io.ReadWriter, wait func() error) {
	t.Helper()
	c, slave, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	side, err := os.OpenFile(slave, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = side.Close() }()
	cmd := theNode.CrictlCommand(t.Context(), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c, cmd.Wait
}

// readUntil reads from a terminal until text has come.
func readUntil(t *testing.T, r io.Reader, text string) {
	t.Helper()
	found := make(chan error, 1)
	var seen strings.Builder
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			seen.Write(b[:n])
			if strings.Contains(seen.String(), text) {
				found <- nil
				return
			}
			if err != nil {
				found <- errors.Join(err, errors.New("read so far: "+seen.String()))
				return
			}
		}
	}()
	select {
	case err := <-found:
		if err != nil {
			t.Fatalf("%q did not come: %v", text, err)
		}
	case <-t.Context().Done():
		t.Fatal("the test ended")
	case <-time.After(patience):
		t.Fatalf("%q did not come", text)
	}
}

func TestInteractiveExec(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	k := p.run(t, "sleep")
	k.says(t, "sleeping")
	tty, wait := terminal(t, "exec", "-it", k.ID, "/app.wasm", "lines")
	readUntil(t, tty, "reading")
	write(t, tty, "typed\r")
	readUntil(t, tty, "read: typed")
	write(t, tty, "\x04") // end of input
	readUntil(t, tty, "end of input")
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	c := busy("lines")
	c.Stdin, c.StdinOnce = true, true
	k := p.start(t, c)
	k.says(t, "reading")

	cmd := theNode.CrictlCommand(t.Context(), "attach", "-i", k.ID)
	cmd.Stdin = strings.NewReader("over attach\n")
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	contains(t, string(out), "read: over attach")
	k.exits(t, 0)
	contains(t, k.logs(t), "read: over attach", "end of input")
}

// A container with a terminal.
func TestTerminal(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	c := node.Container("main", busyImage)
	c.Args = []string{"lines"}
	c.Tty, c.Stdin = true, true
	k := p.start(t, c)
	k.says(t, "reading")
	tty, wait := terminal(t, "attach", "-it", k.ID)
	write(t, tty, "hello terminal\r")
	readUntil(t, tty, "read: hello terminal")
	write(t, tty, "\x04")
	k.exits(t, 0)
	_ = wait() // crictl ends with the container, one way or the other
}

func TestLogs(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	k := p.run(t, "both")
	k.exits(t, 0)
	cmd := theNode.CrictlCommand(t.Context(), "logs", k.ID)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "to stdout\n" || stderr.String() != "to stderr\n" {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
}
