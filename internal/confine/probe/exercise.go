//go:build linux && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"
)

// exercise does what wasm-task's runtime, engines and WASI layer do; dir is a
// writable directory.
func exercise(dir string) error {
	for _, step := range []struct {
		name string
		run  func(string) error
	}{
		{"threads", threads}, {"preemption", preemption}, {"files", files}, {"copies", copies},
		{"pipes", pipes}, {"accept", accept}, {"signals", signals}, {"wazero", engine},
	} {
		if err := step.run(dir); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// threads are made and destroyed while garbage is collected.
func threads(string) error {
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends
			b := make([]byte, 1<<20)
			b[i] = 1
			time.Sleep(time.Millisecond)
		})
	}
	runtime.GC()
	wg.Wait()
	return nil
}

// preemption stops a goroutine that never yields, by tgkill.
func preemption(string) error {
	stop := make(chan struct{})
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				return
			default:
				for range 1 << 30 {
					n++
				}
			}
		}
	}()
	start := time.Now()
	runtime.GC()
	close(stop)
	if d := time.Since(start); d > 5*time.Second {
		return fmt.Errorf("garbage collection took %v", d)
	}
	return nil
}

func files(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only a path
	f, err := root.Create("file")
	if err != nil {
		return err
	}
	fd := int(f.Fd())
	_, werr := f.WriteString("0123456789")
	err = errors.Join(werr,
		unix.Fallocate(fd, 0, 0, 4096), unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL), unix.Ftruncate(fd, 10),
		unix.Fdatasync(fd), f.Sync(), f.Close(),
		root.Mkdir("dir", 0o755), root.Rename("file", "dir/file"), root.Symlink("dir/file", "symbolic"),
		root.Link("dir/file", "hard"), root.Chtimes("hard", time.Unix(1, 0), time.Unix(2, 0)))
	if err != nil {
		return err
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err = unix.Openat2(unix.AT_FDCWD, filepath.Join(dir, "symbolic"), &how)
	if err != nil {
		return fmt.Errorf("openat2: %w", err)
	}
	b := make([]byte, 10)
	_, err = unix.Preadv(fd, [][]byte{b[:5], b[5:]}, 0)
	if err := errors.Join(err, unix.Close(fd)); err != nil || string(b) != "0123456789" {
		return fmt.Errorf("read %q: %w", b, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		return fmt.Errorf("%d entries: %w", len(entries), err)
	}
	return errors.Join(root.Remove("symbolic"), root.Remove("hard"), root.RemoveAll("dir"))
}

// copies go through the paths of package os and net that prefer denied calls.
func copies(dir string) error {
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.WriteFile(src, make([]byte, 100000), 0o644); err != nil {
		return err
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, in)
	if err := errors.Join(err, in.Close(), out.Close(), os.Remove(src), os.Remove(dst)); err != nil || n != 100000 {
		return fmt.Errorf("copied %d bytes: %w", n, err)
	}
	return nil
}

func pipes(string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("read of an empty pipe: %w", err)
	}
	return errors.Join(r.Close(), w.Close())
}

// accept serves one connection of the listener that came as descriptor 4, copying
// from a pipe: the way on which package net tries to splice.
func accept(string) error {
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	tcp := c.(*net.TCPConn)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, err := w.WriteString("from inside"); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = tcp.ReadFrom(r)
	return errors.Join(err, tcp.SetKeepAlive(true), tcp.SetNoDelay(true), tcp.CloseWrite(), r.Close(), c.Close(), l.Close())
}

func signals(string) error {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	defer signal.Stop(ch)
	if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGUSR1); err != nil {
		return err
	}
	select {
	case <-ch:
		return nil
	case <-time.After(5 * time.Second):
		return errors.New("the signal did not arrive")
	}
}

// module exports add(i32, i32) i32 and trap().
var module = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 10, 2, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0, // types
	3, 3, 2, 0, 1, // functions
	5, 3, 1, 0, 1, // a memory
	7, 14, 2, 3, 'a', 'd', 'd', 0, 0, 4, 't', 'r', 'a', 'p', 0, 1, // exports
	10, 13, 2, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b, 3, 0, 0x00, 0x0b, // code
}

// engine compiles and runs, which needs executable memory, and traps.
func engine(string) error {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(true))
	m, err := r.Instantiate(ctx, module)
	if err != nil {
		return err
	}
	sum, err := m.ExportedFunction("add").Call(ctx, 40, 2)
	if err != nil || sum[0] != 42 {
		return fmt.Errorf("40+2 is %v: %w", sum, err)
	}
	if _, err := m.ExportedFunction("trap").Call(ctx); err == nil {
		return errors.New("unreachable did not trap")
	}
	return r.Close(ctx)
}

// nilderef recovers from a fault, by the signal handler.
func nilderef() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("recovered: %v", r)
		}
	}()
	var p *int
	*p = 1
	return nil
}
