package mnt

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
)

// Devpts makes a file system of pseudo terminals, apart from the host's, that has at
// most max of them. Attached nowhere it serves by OpenTerminal.
func Devpts(max uint32) (*Detached, error) {
	fs, err := openFS("devpts")
	if err != nil {
		return nil, err
	}
	defer fs.close()
	for _, o := range []option{{"max", strconv.FormatUint(uint64(max), 10)}, {"mode", "600"}, {"ptmxmode", "600"}} {
		if err := fs.set(o); err != nil {
			return nil, err
		}
	}
	return fs.mount(Attr{NoSUID: true, NoExec: true})
}

// OpenTerminal makes one more terminal of a Devpts and opens its master with flags of
// open(2); ENOSPC when there are too many.
func (d *Detached) OpenTerminal(flags int) (*os.File, error) {
	fd := -1
	err := openfile.Control(d.file, func(dir int) (err error) {
		fd, err = unix.Openat(dir, "ptmx", flags|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "ptmx", Err: err}
	}
	return os.NewFile(uintptr(fd), "pty"), nil
}
