package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/idrange"
	"blazar/internal/mnt"
	"blazar/internal/testneeds"
)

// unmappable mounts an overlay, which has no idmapped mounts.
func unmappable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"one", "two", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(dir, "merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+filepath.Join(dir, "one")+":"+filepath.Join(dir, "two")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	return merged
}

func TestRootThatCannotBeMapped(t *testing.T) {
	testneeds.Root(t)
	idmap, err := mnt.NewIDMap(idrange.DefaultFirst, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idmap.Close() }() // a descriptor without contents
	bind := func(source string) []mnt.Mount {
		return []mnt.Mount{{Type: "bind", Source: source, Options: []string{"rbind", "ro"}}}
	}
	overlay := unmappable(t)
	for _, c := range []struct {
		name       string
		mounts     []mnt.Mount
		bestEffort bool
		note, err  string
	}{
		{"mapped", bind(t.TempDir()), false, "", ""},
		{"mapped, best effort", bind(t.TempDir()), true, "", ""},
		{"strict", bind(overlay), false, "", "best-effort"},
		{"best effort", bind(overlay), true, "without idmapping", ""},
		{"another snapshotter", []mnt.Mount{{Type: "erofs", Source: "/x"}}, true, "", "overlayfs or native snapshotter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Service{node: &Node{BestEffort: c.bestEffort}, pod: Pod{UID: idrange.DefaultFirst, Scratch: t.TempDir()}}
			d, note, err := s.makeRoot(c.mounts, idmap)
			if c.err != "" {
				if !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), c.err) || d != nil {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (note == "") != (c.note == "") || !strings.Contains(note, c.note) {
				t.Errorf("note %q", note)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
