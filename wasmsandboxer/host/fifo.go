package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/sandbox/task/stdio"
)

// criContainers is where the CRI plugin keeps a container's volatile files, its
// FIFOs among them, below containerd's state directory.
const criContainers = "io.containerd.grpc.v1.cri/containers"

// fifoDirs are where FIFOs may be.
type fifoDirs struct {
	// state is containerd's state directory.
	state string
	// plain are the directories in which clients such as ctr make FIFOs for every
	// container alike.
	plain []string
}

// newFIFODirs is for a containerd with this state directory.
func newFIFODirs(state string) fifoDirs {
	// The second is what containerd's client library has built in, whatever the
	// state directory is: defaults.DefaultFIFODir.
	return fifoDirs{state: state, plain: []string{filepath.Join(state, "fifo"), "/run/containerd/fifo"}}
}

// open opens a FIFO that containerd made for this container, for reading and
// writing so that it neither blocks nor ends when the other side comes and goes.
// A name that belongs to anything else is errdefs.ErrPermissionDenied. An output is
// opened when somebody reads it, or ctx has ended; end is opened for writing alone,
// and nil for an input.
func (d fifoDirs) open(ctx context.Context, container, path string, output bool) (file, end *os.File, err error) {
	probe, err := d.probe(container, path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = unix.Close(probe) }() // only a path
	// The very file that was looked at, whatever its name stands for by now.
	name := fmt.Sprintf("/proc/self/fd/%d", probe)
	if output {
		if end, err = stdio.AwaitReader(ctx, name); err != nil {
			return nil, nil, fmt.Errorf("FIFO %s: %w", path, err)
		}
	}
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		if end != nil {
			_ = end.Close() // nothing was written to it
		}
		return nil, nil, fmt.Errorf("FIFO %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), end, nil
}

// check says whether a name is that of a FIFO that containerd made for this container,
// without opening it: who waits at its other end would take us for the other one.
func (d fifoDirs) check(container, path string) error {
	probe, err := d.probe(container, path)
	if err == nil {
		_ = unix.Close(probe) // only a path
	}
	return err
}

// probe opens a FIFO of the container as a location only.
func (d fifoDirs) probe(container, path string) (_ int, err error) {
	base, rel, err := d.split(container, path)
	if err != nil {
		return -1, err
	}
	dir, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("FIFO %s: open %s: %w", path, base, kindOf(err))
	}
	defer func() { _ = unix.Close(dir) }() // only a path
	probe, err := unix.Openat2(dir, rel, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return -1, fmt.Errorf("FIFO %s: %w", path, kindOf(err))
	}
	defer func() {
		if err != nil {
			_ = unix.Close(probe) // only a path
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(probe, &st); err != nil {
		return -1, fmt.Errorf("FIFO %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return -1, fmt.Errorf("%s is not a FIFO: %w", path, errdefs.ErrPermissionDenied)
	}
	return probe, nil
}

// split checks the name and divides it into a directory that containerd owns and
// what is below it.
func (d fifoDirs) split(container, path string) (base, rel string, err error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(path, 0) {
		return "", "", fmt.Errorf("stdio %q is no FIFO's path: %w", clip(path), errdefs.ErrInvalidArgument)
	}
	own := filepath.Join(d.state, criContainers, container)
	if rel, ok := strings.CutPrefix(path, own+"/io/"); ok {
		return own, filepath.Join("io", rel), nil
	}
	for _, dir := range d.plain {
		rel, ok := strings.CutPrefix(path, dir+"/")
		if !ok {
			continue
		}
		// dir/RANDOM/CONTAINER-stdout: the last element alone says whose it is.
		name := filepath.Base(rel)
		for _, stream := range []string{"-stdin", "-stdout", "-stderr"} {
			if name == container+stream && strings.Count(rel, "/") == 1 {
				return dir, rel, nil
			}
		}
	}
	return "", "", fmt.Errorf("stdio %q does not belong to container %s: %w", clip(path), container, errdefs.ErrPermissionDenied)
}

// kindOf gives an error of the kernel its kind.
func kindOf(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%w: %w", err, errdefs.ErrPermissionDenied)
	}
	return err
}

// clip keeps hostile values short in messages.
func clip(s string) string {
	const longest = 200
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
