// Package wasmedgelib starts programs with libwasmedge in them. A process that is
// confined, or that runs on another libc than the library needs, cannot open it: it is
// started with it, by the library's own loader or by LD_PRELOAD (ld.so(8)).
package wasmedgelib

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const (
	// Engine is the name of the engine that needs the library.
	Engine = "wasmedge"
	// Env names the environment variable that says where the library is, where the
	// configuration does not: what Find takes.
	Env = "BLAZAR_WASMEDGE"

	// Loader is the file name of the loader, which a process that it has started runs.
	Loader = "ld-linux-x86-64.so.2"

	object = "libwasmedge.so.0"
)

const remedy = "install the package libwasmedge0 (Debian 13), or have `make wasmedge` unpack it and name the directory; docs/engines.md says how"

// Library is where the library was found.
type Library struct {
	object string // what is preloaded: a path, or the name that the loader looks for
	loader string // the library's own loader, empty for the host's
	dir    string // with all that it needs, where it has its own loader
}

// Find finds the library: where is its path, or a directory with it, everything it
// needs and its own loader, or empty for the one that the host's loader finds, if any.
// A library that is not there is errdefs.ErrNotFound and the error says what to do.
func Find(where string) (Library, error) {
	if where == "" {
		return Library{object: object}, nil
	}
	if !filepath.IsAbs(where) || strings.ContainsAny(where, ": \t\n$") {
		return Library{}, fmt.Errorf("libwasmedge at %q: an absolute path is needed, without blanks, colons and dollars, which mean something to the loader: %w",
			where, errdefs.ErrInvalidArgument)
	}
	st, err := os.Stat(where)
	if err != nil {
		return Library{}, missing(err)
	}
	if !st.IsDir() {
		return Library{object: where}, nil
	}
	l := Library{object: filepath.Join(where, object), loader: filepath.Join(where, Loader), dir: where}
	for _, path := range []string{l.object, l.loader} {
		if _, err := os.Stat(path); err != nil {
			return Library{}, missing(err)
		}
	}
	return l, nil
}

func missing(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("libwasmedge for the engine wasmedge: %w", err)
	}
	return fmt.Errorf("libwasmedge for the engine wasmedge: %w: %s: %w", err, remedy, errdefs.ErrNotFound)
}

// Command is a command line.
type Command struct {
	// Path is what is executed, Args what follows the name.
	Path string
	Args []string
	// Env is to be added to the environment.
	Env []string
}

// Command starts a program that sees the host's files with the library, or so that
// it finds it.
func (l Library) Command(program string, args ...string) Command {
	if l.object == object {
		return Command{Path: program, Args: args}
	}
	return l.Confined(program, args...)
}

// Confined starts a program that will find no files with the library.
func (l Library) Confined(program string, args ...string) Command {
	if l.loader == "" {
		return Command{Path: program, Args: args, Env: []string{"LD_PRELOAD=" + l.object}}
	}
	return Command{Path: l.loader, Args: append([]string{"--library-path", l.dir, "--preload", l.object, program}, args...)}
}

// Loaded says whether this process is one that the library's own loader has started.
func (l Library) Loaded() bool {
	if l.loader == "" {
		return false
	}
	mine, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	theirs, err := os.Stat(l.loader)
	return err == nil && os.SameFile(mine, theirs)
}

// Inherit is the library through descriptors that a program executed by this process
// inherits, for one that is to give up the right to walk there. Close the descriptors
// by executing it, or by ending.
func (l Library) Inherit() (Library, error) {
	var err error
	through := func(path string) string {
		fd, oerr := unix.Open(path, unix.O_PATH, 0)
		if oerr != nil {
			err = errors.Join(err, &fs.PathError{Op: "open", Path: path, Err: oerr})
		}
		return Inherited(fd)
	}
	switch {
	case l.loader != "":
		l.loader, l.dir = through(l.loader), through(l.dir)
		l.object = filepath.Join(l.dir, object)
	case l.object != object:
		// The directory, since the library may look beside itself for what it needs.
		l.object = filepath.Join(through(filepath.Dir(l.object)), filepath.Base(l.object))
	}
	return l, err
}

// Inherited is the path of a descriptor, for whoever inherits it.
func Inherited(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
