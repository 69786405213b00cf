package mnt

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

// TestNeverEscapes resolves paths of a hostile image.
func TestNeverEscapes(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "outside", "dir/": ""})
	dir := tree(t, map[string]string{
		"secret":   "inside",
		"etc/file": "etc",
		"absolute": "-> " + outside + "/secret",
		"up":       "-> ../../../../../../../.." + outside + "/secret",
		"dirlink":  "-> " + outside + "/dir",
		"etclink":  "-> /etc",
		"loop":     "-> loop",
		"magic":    "-> /proc/self/root",
		"dangling": "-> /none",
	})
	root := must(openPath(dir, unix.O_DIRECTORY))(t)
	defer closed(t, root)

	for name, want := range map[string]string{
		"secret": "inside", "/secret": "inside", "../../secret": "inside", "etclink/file": "etc", "etclink/../secret": "inside",
	} {
		b := make([]byte, 100)
		f := must(OpenIn(root, name, os.O_RDONLY))(t)
		n, _ := f.Read(b)
		closed(t, f)
		if string(b[:n]) != want {
			t.Errorf("%s has %q, want %q", name, b[:n], want)
		}
	}
	for name, is := range map[string]error{
		"absolute": errdefs.ErrNotFound, "up": errdefs.ErrNotFound, "dirlink": errdefs.ErrNotFound, "magic": errdefs.ErrNotFound,
		"dangling": errdefs.ErrNotFound, "loop": unix.ELOOP, "secret/x": unix.ENOTDIR, "none": errdefs.ErrNotFound,
	} {
		if _, err := OpenIn(root, name, os.O_RDONLY); !errors.Is(err, is) {
			t.Errorf("open %s: %v, want %v", name, err, is)
		}
	}
	if _, err := OpenIn(root, "new", os.O_CREATE); !errdefs.IsInvalidArgument(err) {
		t.Errorf("O_CREAT: %v", err)
	}

	for _, name := range []string{"absolute", "up/x", "dirlink/new", "magic/new", "dangling", "loop/x", "secret/x", "secret"} {
		if _, err := MkdirIn(root, name, 0o755, base, base); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("mkdir %s: %v", name, err)
		}
	}
	for _, name := range []string{"absolute", "dirlink/new", "dangling", "secret/x"} {
		if _, err := TouchIn(root, name, 0o644, base, base); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("touch %s: %v", name, err)
		}
	}
	if left := must(os.ReadDir(outside + "/dir"))(t); len(left) != 0 {
		t.Errorf("made outside: %v", left)
	}
}

func TestMkdirAndTouch(t *testing.T) {
	testneeds.Root(t)
	dir := tree(t, map[string]string{"var/run": "-> /run", "run/": "", "file": "x"})
	root := must(openPath(dir, unix.O_DIRECTORY))(t)
	defer closed(t, root)
	for _, name := range []string{"/", "a/b/c", "/a/b", "var/run/secrets/x", "../../d"} {
		for range 2 { // the second time it is there
			closed(t, must(MkdirIn(root, name, 0o750, base, base+1))(t))
		}
	}
	for _, name := range []string{"e/f/file", "var/run/hosts", "file", "a"} {
		for range 2 {
			closed(t, must(TouchIn(root, name, 0o640, base, base+1))(t))
		}
	}
	for name, mode := range map[string]os.FileMode{
		"a/b/c": os.ModeDir | 0o750, "run/secrets/x": os.ModeDir | 0o750, "d": os.ModeDir | 0o750, "e/f": os.ModeDir | 0o755,
		"e/f/file": 0o640, "run/hosts": 0o640,
	} {
		fi := must(os.Lstat(filepath.Join(dir, name)))(t)
		if fi.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", name, fi.Mode(), mode)
		}
		if got := owner(t, filepath.Join(dir, name)); got != ownerOf(base, base+1) {
			t.Errorf("%s belongs to %s", name, got)
		}
	}
	for _, name := range []string{".", "run", "file"} {
		if got := owner(t, filepath.Join(dir, name)); got != "0:0" {
			t.Errorf("%s was there and now belongs to %s", name, got)
		}
	}
}

// TestRace swaps a directory for a link to the outside while paths are made: what
// is made must never be outside.
func TestRace(t *testing.T) {
	testneeds.Root(t)
	outside := t.TempDir()
	dir := tree(t, map[string]string{"real/": "", "link": "-> " + outside})
	root := must(openPath(dir, unix.O_DIRECTORY))(t)
	defer closed(t, root)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, dir+"/real", unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE)
			}
		}
	})
	made := 0
	for i := range 3000 {
		f, err := MkdirIn(root, "real/x/y"+string(rune('a'+i%26)), 0o755, base, base)
		if err == nil {
			made++
			closed(t, f)
		}
		if i%50 == 0 {
			_ = os.RemoveAll(dir + "/real/x") // so that there is something to make
		}
	}
	close(stop)
	wg.Wait()
	if left := must(os.ReadDir(outside))(t); len(left) != 0 {
		t.Errorf("made outside: %v", left)
	}
	if made == 0 {
		t.Error("nothing was made at all")
	}
}

// TestAttachThroughLink mounts where an image has a link that leads out.
func TestAttachThroughLink(t *testing.T) {
	root := podRoot(t)
	check(t, errors.Join(os.MkdirAll(root+"/rootfs/etc", 0o755), os.Symlink("/etc", root+"/rootfs/data")))
	rootfs := must(openPath(root+"/rootfs", 0))(t)
	defer closed(t, rootfs)
	target := must(MkdirIn(rootfs, "/data", 0o755, base, base))(t)
	defer closed(t, target)
	d := must(Bind(tree(t, map[string]string{"volume": "x"}), false, nil, Attr{}))(t)
	check(t, d.Attach(target))
	closed(t, d)
	if _, err := os.Stat(root + "/rootfs/etc/volume"); err != nil {
		t.Errorf("the volume is not where the link leads inside: %v", err)
	}
	if _, err := os.Stat("/etc/volume"); err == nil {
		t.Error("the volume is on the host's /etc")
	}
}
