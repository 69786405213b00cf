package mnt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
	"blazar/internal/testneeds"
)

// TestReadOnlyInSlave is what the whole package is about: the copy of a mount that
// propagation makes in a pod's namespace is read-only too.
func TestReadOnlyInSlave(t *testing.T) {
	testneeds.Root(t)
	source := tree(t, map[string]string{"file": "content"})
	lower := tree(t, map[string]string{"file": "layer"})
	upper, work := t.TempDir(), t.TempDir()
	root := podRoot(t)
	mounts := map[string]func(a Attr) (*Detached, error){
		"bind":  func(a Attr) (*Detached, error) { return Bind(source, true, nil, a) },
		"tmpfs": func(a Attr) (*Detached, error) { return Tmpfs(TmpfsOptions{Size: 1 << 16}, a) },
		"overlay": func(a Attr) (*Detached, error) {
			return Overlay(Layers{Lower: []string{lower}, Upper: upper, Work: work}, nil, a, "")
		},
		"later": func(a Attr) (*Detached, error) {
			d, err := Bind(source, false, nil, Attr{})
			if err != nil {
				return nil, err
			}
			return d, d.SetReadOnly(false)
		},
	}
	inSlave(t, func() {
		for name, mount := range mounts {
			check(t, os.Mkdir(filepath.Join(root, name), 0o755))
			d := must(mount(Attr{ReadOnly: true, NoExec: true}))(t)
			check(t, d.AttachAt(filepath.Join(root, name)))
			closed(t, d)
		}
	}, func() error {
		for name := range mounts {
			var fs unix.Statfs_t
			if err := unix.Statfs(filepath.Join(root, name), &fs); err != nil {
				return err
			}
			if fs.Flags&unix.ST_RDONLY == 0 || name != "later" && fs.Flags&unix.ST_NOEXEC == 0 {
				return errors.New(name + " is not read-only, noexec in the slave")
			}
			if err := os.WriteFile(filepath.Join(root, name, "new"), nil, 0o644); !errors.Is(err, unix.EROFS) {
				return errors.Join(errors.New(name+" is writable in the slave"), err)
			}
		}
		b, err := os.ReadFile(filepath.Join(root, "overlay/file"))
		if string(b) != "layer" {
			return errors.Join(errors.New("overlay has "+string(b)), err)
		}
		return nil
	})
	check(t, os.WriteFile(filepath.Join(source, "new"), nil, 0o644)) // the source itself is as it was
}

// TestNothingReachesTheSource unmounts a recursive bind: what was mounted below the
// source stays mounted there.
func TestNothingReachesTheSource(t *testing.T) {
	source := podRoot(t) // shared, as most of a host is
	check(t, os.Mkdir(source+"/sub", 0o755))
	sub := must(Tmpfs(TmpfsOptions{}, Attr{}))(t)
	check(t, sub.AttachAt(source+"/sub"))
	closed(t, sub)
	check(t, os.WriteFile(source+"/sub/file", []byte("x"), 0o644))
	root := podRoot(t)
	d := must(Bind(source, true, nil, Attr{ReadOnly: true}))(t)
	check(t, os.Mkdir(root+"/v", 0o755))
	check(t, d.AttachAt(root+"/v"))
	closed(t, d)
	if _, err := os.Stat(root + "/v/sub/file"); err != nil {
		t.Error("recursive bind lacks what is mounted below")
	}
	if err := os.WriteFile(root+"/v/sub/file", nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("what is mounted below is writable: %v", err)
	}
	check(t, UnmountAll(root+"/v"))
	if _, err := os.Stat(source + "/sub/file"); err != nil {
		t.Errorf("the source lost what was mounted below it: %v", err)
	}
	check(t, os.WriteFile(source+"/sub/file", []byte("y"), 0o644))

	one := must(Bind(source, false, nil, Attr{}))(t)
	check(t, one.AttachAt(root+"/v"))
	closed(t, one)
	if _, err := os.Stat(root + "/v/sub/file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("plain bind has what is mounted below: %v", err)
	}
}

// TestSlaveReceives is mount propagation from the host to a container.
func TestSlaveReceives(t *testing.T) {
	source, root := podRoot(t), podRoot(t)
	check(t, errors.Join(os.Mkdir(source+"/sub", 0o755), os.Mkdir(root+"/slave", 0o755), os.Mkdir(root+"/private", 0o755)))
	for name, p := range map[string]Propagation{"slave": Slave, "private": Private} {
		d := must(Bind(source, true, nil, Attr{Propagation: p}))(t)
		check(t, d.AttachAt(filepath.Join(root, name)))
		closed(t, d)
	}
	later := must(Tmpfs(TmpfsOptions{}, Attr{}))(t)
	check(t, later.AttachAt(source+"/sub"))
	closed(t, later)
	check(t, os.WriteFile(source+"/sub/file", nil, 0o644))
	if _, err := os.Stat(root + "/slave/sub/file"); err != nil {
		t.Errorf("slave did not receive: %v", err)
	}
	if _, err := os.Stat(root + "/private/sub/file"); err == nil {
		t.Error("private received")
	}
}

func TestUnmountAllHeld(t *testing.T) {
	root := podRoot(t)
	for _, dir := range []string{"a", "a/b", "c"} {
		check(t, os.Mkdir(filepath.Join(root, dir), 0o755))
		d := must(Tmpfs(TmpfsOptions{}, Attr{}))(t)
		check(t, d.AttachAt(filepath.Join(root, dir)))
		closed(t, d)
	}
	cover := must(Tmpfs(TmpfsOptions{}, Attr{}))(t) // over the root itself
	check(t, cover.AttachAt(root))
	closed(t, cover)
	f := must(os.Create(root + "/held"))(t)
	defer closed(t, f)
	for range 2 {
		check(t, UnmountAll(root))
		if left := must(mountinfo.GetMounts(mountinfo.PrefixFilter(root)))(t); len(left) != 0 {
			t.Errorf("%d mounts are left, the first at %s", len(left), left[0].Mountpoint)
		}
	}
	if _, err := f.WriteString("still there"); err != nil {
		t.Errorf("write to the held file: %v", err)
	}
	if err := UnmountAll("/proc/self/task/none"); err != nil {
		t.Errorf("unmount of nothing: %v", err)
	}
}

// TestUnmountAllSparesNeighbours has a path that begins like another's.
func TestUnmountAllSparesNeighbours(t *testing.T) {
	testneeds.Root(t)
	dir := t.TempDir()
	for _, n := range []string{"pod", "pod1"} {
		check(t, os.Mkdir(filepath.Join(dir, n), 0o755))
		d := must(Tmpfs(TmpfsOptions{}, Attr{}))(t)
		check(t, d.AttachAt(filepath.Join(dir, n)))
		closed(t, d)
	}
	check(t, UnmountAll(filepath.Join(dir, "pod")))
	left := must(mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(dir, "pod1"))))(t)
	check(t, UnmountAll(filepath.Join(dir, "pod1")))
	if len(left) != 1 {
		t.Error("the neighbour's mount is gone")
	}
}

func TestTmpfs(t *testing.T) {
	testneeds.Root(t)
	d := must(Tmpfs(TmpfsOptions{Size: 1 << 16, Inodes: 10, Mode: 0o700, UID: base, GID: base + 1}, Attr{NoSUID: true, NoDev: true}))(t)
	defer closed(t, d)
	var st unix.Stat_t
	var fs unix.Statfs_t
	check(t, openfile.Control(d.Root(), func(fd int) error { return errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)) }))
	if st.Uid != base || st.Gid != base+1 || st.Mode&0o777 != 0o700 || fs.Blocks*uint64(fs.Bsize) != 1<<16 || fs.Files != 10 ||
		fs.Flags&unix.ST_NOSUID == 0 || fs.Flags&unix.ST_NODEV == 0 {
		t.Errorf("root %+v in %+v", st, fs)
	}
	if _, err := Tmpfs(TmpfsOptions{UID: 1<<32 - 1}, Attr{}); err == nil || !strings.Contains(err.Error(), "tmpfs: option uid") {
		t.Errorf("bad owner: %v", err)
	}
}

func TestFailures(t *testing.T) {
	lower := tree(t, nil)
	m := idmap(t, 0, 0)
	for name, tc := range map[string]struct {
		make func() (*Detached, error)
		is   error
	}{
		"missing source": {func() (*Detached, error) { return Bind("/none", false, nil, Attr{}) }, unix.ENOENT},
		"mapped proc":    {func() (*Detached, error) { return Bind("/proc", false, m, Attr{}) }, errdefs.ErrNotImplemented},
		"no layers":      {func() (*Detached, error) { return Overlay(Layers{}, nil, Attr{}, "") }, errdefs.ErrInvalidArgument},
		"upper alone": {func() (*Detached, error) {
			return Overlay(Layers{Lower: []string{lower}, Upper: lower}, nil, Attr{}, "")
		}, errdefs.ErrInvalidArgument},
		"missing layer": {func() (*Detached, error) { return Overlay(Layers{Lower: []string{"/none"}}, nil, Attr{}, "") }, unix.ENOENT},
		"unknown option": {func() (*Detached, error) {
			return Overlay(Layers{Lower: []string{lower, lower}, Options: []string{"nonsense"}}, nil, Attr{}, "")
		}, unix.EINVAL},
		"one layer, no up": {func() (*Detached, error) { return Overlay(Layers{Lower: []string{lower}}, nil, Attr{}, "") }, nil},
	} {
		d, err := tc.make()
		if !errors.Is(err, tc.is) {
			t.Errorf("%s: %v, want %v", name, err, tc.is)
		}
		if err == nil {
			closed(t, d)
		}
	}
	d := must(Bind(lower, false, nil, Attr{}))(t)
	if err := d.AttachAt("/none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("attach nowhere: %v", err)
	}
	closed(t, d)
	closed(t, d)
}
