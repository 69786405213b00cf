package runctask

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/fifo"
)

// reader reads a FIFO as containerd does.
type reader struct {
	mu   sync.Mutex // guards data
	data bytes.Buffer
	file io.ReadWriteCloser
	done chan struct{}
}

func (r *reader) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data.Write(b)
}

func (r *reader) string() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data.String()
}

// end waits for the end of the output and lets go of it.
func (r *reader) end() {
	if r == nil {
		return
	}
	select {
	case <-r.done:
	case <-time.After(time.Second): // never opened by the other side
	}
	_ = r.file.Close() // what is missing is seen in the data
}

// fifos makes the FIFOs of a process and opens the test's ends.
func (c *ctr) fifos(name string, terminal bool) (stdin, stdout, stderr string) {
	c.Helper()
	dir, err := os.MkdirTemp(c.dir, "io")
	c.must(err)
	read := func(name string) (string, *reader) {
		path := filepath.Join(dir, name)
		f, err := fifo.OpenFifo(context.Background(), path, syscall.O_RDONLY|syscall.O_CREAT|syscall.O_NONBLOCK, 0o600)
		c.must(err)
		r := &reader{file: f, done: make(chan struct{})}
		go func() {
			defer close(r.done)
			_, _ = io.Copy(r, f) // what is missing is seen in the data
		}()
		return path, r
	}
	stdin = filepath.Join(dir, name+"-stdin")
	c.must(syscall.Mkfifo(stdin, 0o600))
	if c.stdin, err = os.OpenFile(stdin, os.O_RDWR, 0); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = c.stdin.Close() }) // a test may have
	stdout, c.stdout = read(name + "-stdout")
	if !terminal {
		stderr, c.stderr = read(name + "-stderr")
	}
	return stdin, stdout, stderr
}

// says waits for output.
func (c *ctr) says(want string) {
	c.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if strings.Contains(c.stdout.string(), want) {
			return
		}
	}
	c.Fatalf("never said %q, but %q", want, c.stdout.string())
}
