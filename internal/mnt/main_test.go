package mnt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
	"blazar/internal/thread"
)

const base = 0x6ffe0000 // of the tests' id range

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must takes a value and an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// podRoot is a root as pods have it, unmounted at the end with all below it.
func podRoot(t testing.TB) string {
	t.Helper()
	testneeds.Root(t)
	dir := filepath.Join(t.TempDir(), "root")
	check(t, os.Mkdir(dir, 0o755))
	for p := filepath.Dir(dir); p != os.TempDir(); p = filepath.Dir(p) {
		check(t, os.Chmod(p, 0o755)) // the pod's uid gets there
	}
	d := must(Tmpfs(TmpfsOptions{Size: 1 << 20, Inodes: 1000}, Attr{NoSUID: true, NoDev: true, Propagation: Shared}))(t)
	defer closed(t, d)
	check(t, d.AttachAt(dir))
	t.Cleanup(func() { check(t, UnmountAll(dir)) })
	return dir
}

func closed(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	check(t, c.Close())
}

func idmap(t testing.TB, uid, gid uint32) *IDMap {
	t.Helper()
	testneeds.Root(t)
	m := must(NewIDMap(base, uid, gid))(t)
	t.Cleanup(func() { closed(t, m) })
	return m
}

// tree makes directories (names that end in a slash), symbolic links (values that
// begin with "-> ") and files below a new directory of the disk.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	for name, content := range files {
		p := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case name[len(name)-1] == '/':
			check(t, os.MkdirAll(p, 0o755))
		case len(content) > 3 && content[:3] == "-> ":
			check(t, os.Symlink(content[3:], p))
		default:
			check(t, os.WriteFile(p, []byte(content), 0o644))
		}
	}
	return dir
}

func owner(t testing.TB, path string) string {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// as runs fn on a thread that has a uid and gid and no capability to override
// permissions with.
func as(id int, fn func() error) (err error) {
	thread.Throwaway(func() {
		if err = errors.Join(unix.Setfsgid(id), unix.Setfsuid(id)); err == nil {
			err = fn()
		}
	})
	return err
}

// inSlave runs fn on a thread in a mount namespace that is to this one what a
// pod's is: mounts come in, nothing goes out. ready is called outside first.
func inSlave(t testing.TB, ready func(), fn func() error) {
	t.Helper()
	entered, begin, result := make(chan error), make(chan struct{}), make(chan error)
	go thread.Throwaway(func() {
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, "")
		}
		entered <- err
		<-begin
		if err == nil {
			result <- fn()
		}
	})
	err := <-entered
	if err == nil {
		ready()
	}
	close(begin)
	check(t, err)
	check(t, <-result)
}

func ownerOf(uid, gid int) string { return fmt.Sprintf("%d:%d", uid, gid) }
