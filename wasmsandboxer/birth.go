package wasmsandboxer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/confine"
	"blazar/internal/mnt"
	"blazar/internal/wasmedgelib"
)

// birth is what a wasm-task is born with. Every path is on the host.
type birth struct {
	program wasmedgelib.Command
	// root is mounted, daemons the path of the socket where a restarted daemon
	// connects, stderr that of the FIFO for what wasm-task says.
	root, daemons, stderr string
	uid                   uint32
	hostname              string        // empty for the host's
	netns                 *os.File      // nil for the host's
	group                 *cgroup.Group // nil for the daemon's
	tasks                 *os.File      // what the Task API is served on
}

// spawn starts a wasm-task confined.
func (s *Sandboxer) spawn(ctx context.Context, b birth) (*confine.Process, error) {
	c := confine.Config{
		Binary: b.program.Path, Args: b.program.Args, Env: append(b.program.Env, "GOMAXPROCS="+maxProcs()),
		Root: b.root, UID: b.uid, GID: b.uid, Hostname: b.hostname, NetNS: b.netns, Filter: s.filter,
	}
	var open []*os.File
	defer func() {
		for _, f := range open {
			_ = f.Close() // the process has its own
		}
	}()
	if b.group != nil {
		dir, err := b.group.Dir()
		if err != nil {
			return nil, err
		}
		if dir != nil {
			open, c.CgroupFD = append(open, dir), dir
		}
		c.Join, c.Adopt = b.group.Join, b.group.Adopt
	}
	daemons, err := listen("unixpacket", b.daemons)
	if err != nil {
		return nil, err
	}
	open, c.Files = append(open, daemons), []*os.File{b.tasks, daemons}
	if c.Stderr, err = makeFIFO(b.stderr); err != nil {
		return nil, err
	}
	open = append(open, c.Stderr)
	return confine.Start(ctx, c)
}

// listen makes a unix socket that wasm-task will serve.
func listen(network, path string) (*os.File, error) {
	const longest = 107 // sun_path of unix(7), without the final zero
	if len(path) > longest {
		return nil, fmt.Errorf("socket path %s has %d bytes, at most %d are possible: choose a shorter state directory: %w",
			path, len(path), longest, errdefs.ErrInvalidArgument)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = l.Close() }() // the file is another descriptor of it
	return l.File()
}

// makeFIFO makes the FIFO for what wasm-task says. It is open for reading too on
// the writing side, so that a daemon may come and go; and non-blocking, so that
// nobody waits for a daemon that is gone.
func makeFIFO(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make FIFO %s: %w", path, err)
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

// A root holds mount points and three small files.
const (
	rootSize   = 1 << 20
	rootInodes = 8192
)

// mountRoot mounts the root of a wasm-task at dir/root and makes the directories that
// belong to it beside it.
func mountRoot(dir string) error {
	root := filepath.Join(dir, rootName)
	for _, d := range []string{filepath.Join(dir, scratchName), filepath.Join(dir, notesName)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	if mounted(root) { // by a start that failed
		if err := mnt.UnmountAll(root); err != nil {
			return err
		}
	}
	d, err := mnt.Tmpfs(mnt.TmpfsOptions{Size: rootSize, Inodes: rootInodes, Mode: 0o755},
		mnt.Attr{NoSUID: true, NoDev: true, NoExec: true, Propagation: mnt.Shared})
	if err != nil {
		return fmt.Errorf("root of wasm-task: %w", err)
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	if err := d.AttachAt(root); err != nil {
		return fmt.Errorf("root of wasm-task: %w", err)
	}
	for _, name := range []string{"c", "a", "etc"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// mounted says whether there may be something mounted at the path. To ask for what is
// mounted takes longer the more pods there are.
func mounted(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err != nil || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
