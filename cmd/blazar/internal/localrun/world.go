package localrun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"blazar/engines/wasip1"

	"golang.org/x/sys/unix"
)

// world makes the guest's world: its command line, this process's own stdio, the
// image's files, directories and listeners.
func world(ctx context.Context, o Options, p *program) (_ *wasip1.System, err error) {
	c := wasip1.Config{Args: p.args, Env: merge(p.env, o.Env)}
	var files []*os.File
	defer func() {
		if err != nil {
			for _, f := range files {
				_ = f.Close() // nothing was done with it
			}
		}
	}()
	for i, std := range []*os.File{o.Stdin, o.Stdout, o.Stderr} {
		f, err := duplicate(std)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		files = append(files, f)
		*[]**os.File{&c.Stdin, &c.Stdout, &c.Stderr}[i] = f
	}
	dirs := o.Dirs
	if p.rootfs != "" {
		dirs = append([]Dir{{Host: p.rootfs, Guest: "/"}}, dirs...)
	}
	for _, d := range dirs {
		f, err := openDir(d)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		c.Preopens = append(c.Preopens, wasip1.Preopen{Guest: d.Guest, Dir: f, ReadOnly: d.ReadOnly})
	}
	for _, a := range o.Listen {
		f, err := listen(ctx, a)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		c.Listeners = append(c.Listeners, f)
	}
	c.Env = merge(c.Env, listenEnv(len(c.Preopens), len(c.Listeners)))
	return wasip1.New(c)
}

// duplicate makes a descriptor that the guest's world may close. A closed stdio
// descriptor is none at all.
func duplicate(f *os.File) (*os.File, error) {
	if f == nil {
		return nil, nil
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if errors.Is(err, unix.EBADF) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("duplicate %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func openDir(d Dir) (*os.File, error) {
	f, err := os.OpenFile(d.Host, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("--dir: there is no directory %s on this host; create it first, or correct the path", d.Host)
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("--dir: %s is no directory; give the directory that it is in", d.Host)
	case err != nil:
		return nil, fmt.Errorf("--dir: %w", err)
	}
	return f, nil
}

// listen makes a listening socket for the guest to accept on.
func listen(ctx context.Context, a Address) (*os.File, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, a.Network, a.Address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s:%s: %w", a.Network, a.Address, err)
	}
	defer func() { _ = l.Close() }() // the duplicate stays
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, fmt.Errorf("--listen %s:%s: %w", a.Network, a.Address, err)
	}
	return f, nil
}

// merge puts "NAME=value" entries over others of the same name.
func merge(under, over []string) []string {
	at := map[string]int{}
	var all []string
	for _, e := range append(append([]string(nil), under...), over...) {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			all[i] = e
			continue
		}
		at[name] = len(all)
		all = append(all, e)
	}
	return all
}
