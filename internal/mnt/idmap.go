package mnt

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// rangeSize is how many ids a mapping covers: all that an image can name.
const rangeSize = 65536

// IDMap maps the owners on disk to those that a pod's mounts show, and back when
// files are written. It is held by a user namespace without processes; one mapping
// serves any number of mounts. Safe for concurrent use but for Close.
type IDMap struct {
	base, uid, gid uint32
	file           *os.File
}

// NewIDMap maps the ids 0 to 65535 on disk into the range from base on, for a
// container whose process has the given uid and gid. Id n appears as base+n, but
// for two that change places: uid appears as base and 0 as base+uid. As the
// process of the pod has the id base, files of the container's own user are its
// own, and files of root are not, unless the container's user is root.
func NewIDMap(base, uid, gid uint32) (*IDMap, error) {
	if base < rangeSize || base > 1<<32-2*rangeSize || uid >= rangeSize || gid >= rangeSize {
		return nil, fmt.Errorf("id mapping of user %d:%d from %d on: users are below %d, the base is not: %w",
			uid, gid, base, rangeSize, errdefs.ErrInvalidArgument)
	}
	f, err := UserNamespace(extents(base, uid), extents(base, gid))
	if err != nil {
		return nil, fmt.Errorf("id mapping of user %d:%d from %d on: %w", uid, gid, base, err)
	}
	return &IDMap{base, uid, gid, f}, nil
}

// UID is the uid that files of a uid on disk have in the mount; 65534, nobody, for
// one out of range.
func (m *IDMap) UID(disk uint32) uint32 { return mapped(m.base, m.uid, disk) }

// GID is UID for groups.
func (m *IDMap) GID(disk uint32) uint32 { return mapped(m.base, m.gid, disk) }

// Close lets go of the mapping; mounts made with it keep it.
func (m *IDMap) Close() error {
	if err := m.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func mapped(base, own, disk uint32) uint32 {
	switch {
	case disk >= rangeSize:
		return 65534
	case disk == own:
		return base
	case disk == 0:
		return base + own
	}
	return base + disk
}

// extents are the lines of a uid_map, user_namespaces(7); the namespace's ids are
// those on disk.
func extents(base, own uint32) []syscall.SysProcIDMap {
	b, o := int(base), int(own)
	if o == 0 {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: b, Size: rangeSize}}
	}
	m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: b + o, Size: 1}, {ContainerID: o, HostID: b, Size: 1}}
	if o > 1 {
		m = append(m, syscall.SysProcIDMap{ContainerID: 1, HostID: b + 1, Size: o - 1})
	}
	if o < rangeSize-1 {
		m = append(m, syscall.SysProcIDMap{ContainerID: o + 1, HostID: b + o + 1, Size: rangeSize - o - 1})
	}
	return m
}

// UserNamespace makes a user namespace and returns a descriptor of it. A process
// with several threads cannot make one for itself (unshare(2)), so a child does:
// traced, it stops before the first instruction of the program it executes, and is
// killed there, after its mappings were written.
//
// The child borrows this process's memory until it executes (vfork(2)), which package
// syscall would not let one in a new user namespace do: a copy of the page tables of a
// daemon takes a millisecond. Hence it must not be told the mappings either, for which
// it would wait while its parent waits for it.
func UserNamespace(uids, gids []syscall.SysProcIDMap) (f *os.File, err error) {
	runtime.LockOSThread() // the tracer is a thread: while it lives the child is stopped
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"user-namespace"}, &syscall.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_VM | unix.CLONE_VFORK,
			Ptrace:     true, Pdeathsig: syscall.SIGKILL,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	defer func() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // not reaped yet, so the pid is its own
		for {
			if _, err := syscall.Wait4(pid, nil, syscall.WALL, nil); err != syscall.EINTR {
				break
			}
		}
	}()
	proc := "/proc/" + strconv.Itoa(pid)
	for name, m := range map[string][]syscall.SysProcIDMap{"/uid_map": uids, "/gid_map": gids} {
		if err := writeMapping(proc+name, m); err != nil {
			return nil, fmt.Errorf("mapping of a user namespace: %w", err)
		}
	}
	fd, err := unix.Open(proc+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the user namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), "user namespace"), nil
}

// writeMapping writes a uid_map or gid_map, which the kernel takes in one write only.
func writeMapping(path string, m []syscall.SysProcIDMap) error {
	var text []byte
	for _, e := range m {
		text = fmt.Appendf(text, "%d %d %d\n", e.ContainerID, e.HostID, e.Size)
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, text)
	return errors.Join(err, unix.Close(fd))
}
