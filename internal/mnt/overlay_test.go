package mnt

import (
	"errors"
	"fmt"
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

// TestOverlay mounts an image with both methods, the one of new kernels and the one
// of older ones, and uses it as pods of root and of another user do.
func TestOverlay(t *testing.T) {
	testneeds.Root(t)
	for name, how := range map[string]method{"by descriptor": overlayByFd, "by path": overlayByPath} {
		for _, user := range []uint32{0, 1000} {
			t.Run(fmt.Sprintf("%s/user %d", name, user), func(t *testing.T) {
				testOverlay(t, how, user)
			})
		}
	}
}

func testOverlay(t *testing.T, how method, user uint32) {
	top := tree(t, map[string]string{"both": "top", "home/own": "own"})
	bottom := tree(t, map[string]string{"both": "bottom", "roots": "r", "dir/file": "f"})
	check(t, errors.Join(os.Chown(top+"/home", int(user), int(user)), os.Chown(top+"/home/own", int(user), int(user))))
	upper, work := t.TempDir(), t.TempDir()
	check(t, os.Chmod(upper, 0o755))
	scratch, root := t.TempDir(), podRoot(t)
	check(t, os.Mkdir(root+"/rootfs", 0o755))
	m := idmap(t, user, user)

	d, err := Layers{Lower: []string{top, bottom}, Upper: upper, Work: work, Options: []string{"index=off"}}.
		make(m, Attr{NoSUID: true, NoDev: true}, scratch, how)
	check(t, err)
	check(t, d.AttachAt(root+"/rootfs"))
	closed(t, d)
	if left := must(mountinfo.GetMounts(mountinfo.PrefixFilter(scratch)))(t); len(left) != 0 {
		t.Errorf("%d mounts are left at the scratch directory", len(left))
	}
	if left := must(os.ReadDir(scratch))(t); len(left) != 0 {
		t.Errorf("scratch directory has %v", left)
	}

	in := func(p string) string { return filepath.Join(root, "rootfs", p) }
	if b := must(os.ReadFile(in("both")))(t); string(b) != "top" {
		t.Errorf("uppermost layer is hidden: %s", b)
	}
	write := func(p string) error { return as(base, func() error { return os.WriteFile(in(p), []byte("w"), 0o644) }) }
	for _, p := range []string{"home/own", "home/new"} {
		if err := write(p); err != nil {
			t.Errorf("write %s: %v", p, err)
		}
	}
	for _, p := range []string{"roots", "new", "dir/new"} {
		err := write(p)
		if user == 0 && err != nil {
			t.Errorf("write %s: %v", p, err)
		}
		if user != 0 && !errors.Is(err, unix.EACCES) {
			t.Errorf("write %s as another user: %v", p, err)
		}
	}
	own, roots := fmt.Sprintf("%d:%d", base, base), fmt.Sprintf("%d:%d", base+user, base+user)
	for p, want := range map[string]string{".": roots, "home": own, "home/own": own, "home/new": own, "roots": roots, "dir": roots} {
		if got := owner(t, in(p)); got != want {
			t.Errorf("%s belongs to %s, want %s", p, got, want)
		}
	}
	if b := must(os.ReadFile(top + "/home/own"))(t); string(b) != "own" || owner(t, bottom+"/roots") != "0:0" {
		t.Error("a layer was written to")
	}
}

// TestOverlayOfManyLongPaths has more layers, of longer paths, than one mount(2)
// takes, and characters that its options treat specially.
func TestOverlayOfManyLongPaths(t *testing.T) {
	testneeds.Root(t)
	for name, how := range map[string]method{"by descriptor": overlayByFd, "by path": overlayByPath} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), strings.Repeat("long", 50), `a:b,c\d`)
			var lower []string
			for i := range 60 {
				l := filepath.Join(dir, fmt.Sprint(i))
				check(t, os.MkdirAll(l, 0o755))
				check(t, os.WriteFile(filepath.Join(l, fmt.Sprint(i)), nil, 0o644))
				lower = append(lower, l)
			}
			upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
			check(t, errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)))
			d := must(Layers{Lower: lower, Upper: upper, Work: work}.make(nil, Attr{}, t.TempDir(), how))(t)
			defer closed(t, d)
			for i := range 60 {
				f := must(OpenIn(d.Root(), fmt.Sprint(i), os.O_RDONLY))(t)
				closed(t, f)
			}
		})
	}
}

func TestFromContainerd(t *testing.T) {
	testneeds.Root(t)
	lower := tree(t, map[string]string{"file": "x"})
	colon := filepath.Join(t.TempDir(), "co:lon")
	check(t, os.Mkdir(colon, 0o755))
	upper, work := t.TempDir(), t.TempDir()
	escaped := strings.ReplaceAll(colon, ":", `\:`)
	for name, tc := range map[string]struct {
		mounts   []Mount
		is       error
		readOnly bool
	}{
		"active": {mounts: []Mount{{Type: "overlay", Source: "overlay", Options: []string{
			"index=off", "workdir=" + work, "upperdir=" + upper, "lowerdir=" + lower + ":" + escaped}}}},
		"view": {mounts: []Mount{{Type: "overlay", Source: "overlay", Options: []string{
			"ro", "lowerdir=" + lower + ":" + escaped}}}, readOnly: true},
		"one layer":      {mounts: []Mount{{Type: "bind", Source: lower, Options: []string{"ro", "rbind"}}}, readOnly: true},
		"first snapshot": {mounts: []Mount{{Type: "bind", Source: lower, Options: []string{"rw", "rbind"}}}},
		"none":           {is: errdefs.ErrNotImplemented},
		"erofs":          {mounts: []Mount{{Type: "erofs", Source: "/x"}}, is: errdefs.ErrNotImplemented},
		"target":         {mounts: []Mount{{Type: "bind", Source: lower, Target: "/x"}}, is: errdefs.ErrNotImplemented},
		"two":            {mounts: make([]Mount, 2), is: errdefs.ErrNotImplemented},
		"data only":      {mounts: []Mount{{Type: "overlay", Options: []string{"lowerdir=/a::/b"}}}, is: errdefs.ErrNotImplemented},
		"empty layer":    {mounts: []Mount{{Type: "overlay", Options: []string{"lowerdir="}}}, is: errdefs.ErrNotImplemented},
		"bind option":    {mounts: []Mount{{Type: "bind", Source: lower, Options: []string{"uid=0"}}}, is: errdefs.ErrNotImplemented},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := FromContainerd(tc.mounts, nil, Attr{NoSUID: true}, "")
			if !errors.Is(err, tc.is) {
				t.Fatalf("%v, want %v", err, tc.is)
			}
			if err != nil {
				return
			}
			defer closed(t, d)
			closed(t, must(OpenIn(d.Root(), "file", os.O_RDONLY))(t))
			var fs unix.Statfs_t
			check(t, openfile.Control(d.Root(), func(fd int) error { return unix.Fstatfs(fd, &fs) }))
			if (fs.Flags&unix.ST_RDONLY != 0) != tc.readOnly || fs.Flags&unix.ST_NOSUID == 0 {
				t.Errorf("flags %#x, want read-only %t and nosuid", fs.Flags, tc.readOnly)
			}
		})
	}
}
