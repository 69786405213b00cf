package stdio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fifoOf(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(path, 0o600))
	return path
}

// reader opens the other end, as containerd does.
func reader(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	return f
}

func writer(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	return f
}

func closes(t *testing.T, files ...io.Closer) {
	t.Helper()
	for _, f := range files {
		must(t, f.Close())
	}
}

// Input does not end because nobody writes, or because a client goes away; it ends
// after CloseStdin.
func TestInput(t *testing.T) {
	path := fifoOf(t)
	in, err := OpenInput(path, ForGo)
	must(t, err)
	b := make([]byte, 10)
	must(t, in.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	if n, err := in.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read before anybody writes: %d, %v", n, err)
	}
	for range 2 {
		w := writer(t, path)
		_, err = w.Write([]byte("hi"))
		must(t, err)
		closes(t, w)
		must(t, in.SetReadDeadline(time.Time{}))
		if n, err := in.Read(b); n != 2 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
	}
	w := writer(t, path)
	must(t, in.CloseStdin())
	must(t, in.CloseStdin())
	_, err = w.Write([]byte("last"))
	must(t, err)
	closes(t, w)
	if all, err := io.ReadAll(in); string(all) != "last" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
	closes(t, in)
}

// Output can be written before anybody reads, waits when the pipe is full, and lets
// go when it is closed.
func TestOutput(t *testing.T) {
	path := fifoOf(t)
	out, err := Output(path, ForGo)
	must(t, err)
	_, err = out.Write([]byte("early"))
	must(t, err)
	r := reader(t, path)
	b := make([]byte, 10)
	if n, err := r.Read(b); string(b[:n]) != "early" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	closes(t, r) // nobody reads any more: not an error
	_, err = out.Write([]byte("x"))
	must(t, err)
	blocked := make(chan error, 1)
	go func() {
		_, err := out.Write(make([]byte, 1<<20))
		blocked <- err
	}()
	select {
	case err := <-blocked:
		t.Errorf("a full pipe took more: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	closes(t, out)
	if err := <-blocked; !errors.Is(err, os.ErrClosed) {
		t.Errorf("blocked write: %v", err)
	}
}

// A child expects files that block.
func TestForChild(t *testing.T) {
	path := fifoOf(t)
	for _, mode := range []Mode{ForGo, ForChild} {
		in, err := OpenInput(path, mode)
		must(t, err)
		out, err := Output(path, mode)
		must(t, err)
		for _, f := range []*os.File{in.File, out} {
			c, err := f.SyscallConn()
			must(t, err)
			var flags int
			must(t, c.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }))
			must(t, err)
			if blocks := flags&unix.O_NONBLOCK == 0; blocks != (mode == ForChild) {
				t.Errorf("mode %v: blocks %v", mode, blocks)
			}
		}
		closes(t, in, out)
	}
	in, err := OpenInput(path, ForChild)
	must(t, err)
	cat := exec.CommandContext(t.Context(), "cat")
	cat.Stdin = in.File
	var out bytes.Buffer
	cat.Stdout = &out
	must(t, cat.Start())
	w := writer(t, path)
	_, err = w.Write([]byte("through a child"))
	must(t, err)
	closes(t, w)
	must(t, in.CloseStdin())
	must(t, cat.Wait())
	closes(t, in)
	if out.String() != "through a child" {
		t.Errorf("%q", out.String())
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, os.Symlink("fifo", filepath.Join(dir, "link")))
	for name, is := range map[string]func(error) bool{
		filepath.Join(dir, "file"):    errdefs.IsInvalidArgument,
		filepath.Join(dir, "link"):    func(err error) bool { return errors.Is(err, unix.ELOOP) },
		filepath.Join(dir, "missing"): func(err error) bool { return errors.Is(err, os.ErrNotExist) },
		"binary:///bin/logger":        errdefs.IsNotImplemented,
		"/proc/self/fd/0":             func(err error) bool { return err != nil },
	} {
		if _, err := Output(name, ForGo); !is(err) {
			t.Errorf("Output(%s): %v", name, err)
		}
		if _, err := OpenInput(name, ForChild); !is(err) {
			t.Errorf("OpenInput(%s): %v", name, err)
		}
	}
}

// 20 MiB come through whole, and Wait returns after the last of it was handed on.
func TestRelay(t *testing.T) {
	const size = 20 << 20
	path := fifoOf(t)
	from, process, err := os.Pipe()
	must(t, err)
	out, err := Output(path, ForGo)
	must(t, err)
	var relay Relay
	relay.Output(out, from)
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i % 251)
	}
	go func() {
		_, _ = process.Write(want) // what is missing is seen below
		_ = process.Close()
	}()
	r := reader(t, path)
	var got bytes.Buffer
	read := make(chan error, 1)
	go func() {
		_, err := io.CopyN(&got, r, size)
		read <- err
	}()
	must(t, relay.Wait(t.Context()))
	must(t, <-read)
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the output was changed")
	}
	must(t, relay.Close())
	must(t, relay.Close())
	closes(t, r)
}

// When nobody reads, Wait ends with its context and Close lets go of everything.
func TestRelayNobodyReads(t *testing.T) {
	path := fifoOf(t)
	from, process, err := os.Pipe()
	must(t, err)
	out, err := Output(path, ForGo)
	must(t, err)
	in, err := OpenInput(fifoOf(t), ForGo)
	must(t, err)
	devNull, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	must(t, err)
	var relay Relay
	relay.Output(out, from)
	relay.Input(devNull, in, nil)
	go func() {
		_, _ = process.Write(make([]byte, 1<<20)) // ends with an error
		_ = process.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := relay.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
	must(t, relay.Close())
	// One that is closed takes nothing more.
	late, other, err := os.Pipe()
	must(t, err)
	relay.Output(other, late)
	must(t, relay.Close())
	if err := late.Close(); !errors.Is(err, os.ErrClosed) {
		t.Error("a closed relay keeps files")
	}
}

func TestTerminal(t *testing.T) {
	stdin, stdout := fifoOf(t), fifoOf(t)
	master, slave, err := Pty()
	must(t, err)
	term, err := NewTerminal(master, stdin, stdout)
	must(t, err)
	must(t, term.Resize(t.Context(), 123, 45))
	// The shell says its size, repeats a line, waits for the end of its input, and
	// writes more than a pipe holds.
	sh := exec.CommandContext(t.Context(), "/bin/sh", "-c", "stty -echo; stty size; cat; head -c 200000 /dev/zero | tr '\\0' x; echo done")
	sh.Stdin, sh.Stdout, sh.Stderr = slave, slave, slave
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, sh.Start())
	must(t, slave.Close())
	r := reader(t, stdout)
	var got bytes.Buffer
	read := make(chan struct{})
	first := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			if n > 0 && got.Len() == 0 {
				close(first)
			}
			got.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	<-first // the echo is off
	w := writer(t, stdin)
	_, err = w.Write([]byte("hello\n"))
	must(t, err)
	closes(t, w)
	must(t, term.CloseStdin(t.Context()))
	must(t, sh.Wait())
	must(t, term.Wait(t.Context()))
	must(t, term.Close())
	must(t, term.Close())
	<-read
	closes(t, r)
	want := "45 123\r\nhello\r\n" + strings.Repeat("x", 200000) + "done\r\n"
	if got.String() != want {
		t.Errorf("%d bytes, want %d: %.100q", got.Len(), len(want), got.String())
	}
}

// Errors leave nothing open.
func TestTerminalErrors(t *testing.T) {
	master, slave, err := Pty()
	must(t, err)
	if _, err := NewTerminal(master, "/nonexistent", fifoOf(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("NewTerminal: %v", err)
	}
	if err := master.Close(); !errors.Is(err, os.ErrClosed) {
		t.Error("the master is left open")
	}
	closes(t, slave)
}
