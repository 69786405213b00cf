package wasip1

import (
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// builder makes a System and knows which files it has seen.
type builder struct {
	*System
	seen map[*os.File]*file
}

func newSystem(c Config) (*System, error) {
	limit := c.MaxDescriptors
	if limit <= 0 || limit > maxDescriptors {
		limit = maxDescriptors
	}
	if n := firstPreopen + len(c.Preopens) + len(c.Listeners); n > limit {
		return nil, fmt.Errorf("%d preopens and listeners with stdio, at most %d descriptors are allowed: %w",
			n, limit, errdefs.ErrInvalidArgument)
	}
	b := builder{&System{start: time.Now(), preopens: len(c.Preopens), killed: make(chan struct{})}, map[*os.File]*file{}}
	b.table.limit = limit
	var err error
	if b.args, err = newCstrings("argument", c.Args); err != nil {
		return nil, err
	}
	if b.env, err = newCstrings("environment variable", c.Env); err != nil {
		return nil, err
	}
	for fd, f := range []*os.File{c.Stdin, c.Stdout, c.Stderr} {
		if err := b.addStdio(fd, f); err != nil {
			return nil, err
		}
	}
	for _, p := range c.Preopens {
		if err := b.addPreopen(p); err != nil {
			return nil, err
		}
	}
	for _, l := range c.Listeners {
		if err := b.addListener(l); err != nil {
			return nil, err
		}
	}
	return b.System, nil
}

func (b *builder) file(what string, owner *os.File) (*file, error) {
	if f := b.seen[owner]; f != nil {
		return f, nil
	}
	f, err := given(what, owner)
	if err == nil {
		b.seen[owner] = f
	}
	return f, err
}

var stdioNames = [...]string{"stdin", "stdout", "stderr"}

func (b *builder) addStdio(fd int, owner *os.File) error {
	f := &file{fd: -1}
	if owner != nil {
		var err error
		if f, err = b.file(stdioNames[fd], owner); err != nil {
			return err
		}
	}
	access := rightFdRead
	if fd == 0 {
		b.stdin = f
	} else {
		access = rightFdWrite
	}
	d := &descriptor{file: f, base: rightsOf(f)&^(rightFdRead|rightFdWrite) | access}
	if fl, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0); err == nil && fl&unix.O_APPEND != 0 {
		d.flags = fdflagAppend
	}
	b.table.insert(d)
	return nil
}

func (b *builder) addPreopen(p Preopen) error {
	what := "preopen " + p.Guest
	if !path.IsAbs(p.Guest) || len(p.Guest) >= maxPath {
		return fmt.Errorf("%s is not an absolute path: %w", what, errdefs.ErrInvalidArgument)
	}
	f := &file{fd: -1, kind: filetypeDirectory, later: &later{what, p.Open}}
	if p.Dir != nil || p.Open == nil {
		var err error
		if f, err = b.file(what, p.Dir); err != nil {
			return err
		}
	}
	if f.kind != filetypeDirectory {
		return fmt.Errorf("%s is not a directory: %w", what, errdefs.ErrInvalidArgument)
	}
	t := &tree{guest: p.Guest, root: f, rooted: path.Clean(p.Guest) == "/"}
	if t.rooted {
		// Absolute links are resolved from it, also after the guest has closed it.
		b.roots = append(b.roots, f.hold())
	}
	b.table.insert(&descriptor{
		file: f, base: rightsDirectory, inheriting: rightsAll,
		readOnly: p.ReadOnly, dir: &directory{tree: t, preopen: true},
	})
	return nil
}

func (b *builder) addListener(owner *os.File) error {
	f, err := b.file("listener", owner)
	if err != nil {
		return err
	}
	if f.kind != filetypeSocketStream {
		return fmt.Errorf("listener %q is not a stream socket: %w", owner.Name(), errdefs.ErrInvalidArgument)
	}
	b.listeners = append(b.listeners, f)
	b.table.insert(&descriptor{file: f, base: rightsListener, inheriting: rightsConnection, undecided: true})
	return nil
}

// rightsOf are all that make sense for a file that is no directory.
func rightsOf(f *file) rights {
	switch {
	case f.kind == filetypeSocketStream || f.kind == filetypeSocketDgram:
		return rightsConnection
	case f.kind == filetypeRegular:
		return rightsRegular
	case f.seekable:
		return rightsStream | rightFdSeek | rightFdTell
	}
	return rightsStream
}

// closeAll is Close, once, with run held.
func (s *System) closeAll() error {
	var errs []error
	for _, d := range s.table.slots {
		if d != nil {
			errs = append(errs, d.close())
		}
	}
	for _, f := range s.roots {
		errs = append(errs, f.release())
	}
	s.table, s.roots = table{}, nil
	return errors.Join(append(errs, s.waiter.close())...)
}
