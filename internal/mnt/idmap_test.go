package mnt

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/internal/testneeds"
)

func TestExtents(t *testing.T) {
	for _, own := range []uint32{0, 1, 2, 1000, rangeSize - 2, rangeSize - 1} {
		disk, host := map[int]bool{}, map[int]bool{}
		for _, e := range extents(base, own) {
			for i := range e.Size {
				d, h := e.ContainerID+i, e.HostID+i
				if disk[d] || host[h] {
					t.Fatalf("own %d: %d or %d is mapped twice", own, d, h)
				}
				disk[d], host[h] = true, true
				if got := mapped(base, own, uint32(d)); int(got) != h {
					t.Fatalf("own %d: %d is mapped to %d but %d is said", own, d, h, got)
				}
			}
		}
		if len(disk) != rangeSize {
			t.Errorf("own %d: %d ids are mapped", own, len(disk))
		}
	}
	if mapped(base, 5, rangeSize) != 65534 {
		t.Error("an id out of range is mapped")
	}
}

func TestNewIDMapRefuses(t *testing.T) {
	for _, c := range [][3]uint32{{0, 0, 0}, {base, rangeSize, 0}, {base, 0, rangeSize}, {1<<32 - 1, 0, 0}} {
		if _, err := NewIDMap(c[0], c[1], c[2]); !errdefs.IsInvalidArgument(err) {
			t.Errorf("NewIDMap(%v): %v", c, err)
		}
	}
}

// TestVolume writes through a mapped bind as the pod's process: on disk the files
// are the container user's.
func TestVolume(t *testing.T) {
	testneeds.Root(t)
	for _, tc := range []struct {
		uid, gid uint32
		onDisk   string
	}{{0, 0, "0:0"}, {1000, 100, "1000:100"}} {
		volume := tree(t, map[string]string{"roots": "x", "users": "x"})
		check(t, os.Chown(volume, int(tc.uid), int(tc.gid)))
		check(t, os.Chown(volume+"/users", 1000, 100))
		root := podRoot(t)
		check(t, os.Mkdir(root+"/v", 0o755))
		m := idmap(t, tc.uid, tc.gid)
		d := must(Bind(volume, true, m, Attr{NoSUID: true, NoDev: true}))(t)
		check(t, d.AttachAt(root+"/v"))
		closed(t, d)

		if err := as(base, func() error { return os.WriteFile(root+"/v/new", []byte("x"), 0o644) }); err != nil {
			t.Errorf("user %d: write: %v", tc.uid, err)
			continue
		}
		if got := owner(t, volume+"/new"); got != tc.onDisk {
			t.Errorf("user %d: on disk the new file is %s, want %s", tc.uid, got, tc.onDisk)
		}
		own, others := "roots", "users"
		if tc.uid != 0 {
			own, others = others, own
		}
		if err := as(base, func() error { return os.WriteFile(filepath.Join(root, "v", own), nil, 0o644) }); err != nil {
			t.Errorf("user %d: write to %s: %v", tc.uid, own, err)
		}
		err := as(base, func() error { return os.WriteFile(filepath.Join(root, "v", others), nil, 0o644) })
		if !errors.Is(err, os.ErrPermission) {
			t.Errorf("user %d: write to %s: %v, want permission denied", tc.uid, others, err)
		}
		// A missing mount point in the volume is made, although root has no id there.
		f := must(openPath(root, 0))(t)
		made := must(MkdirIn(f, "/v/sub/dir", 0o755, base, base))(t)
		closed(t, made)
		closed(t, f)
		if got := owner(t, volume+"/sub/dir"); got != tc.onDisk {
			t.Errorf("user %d: on disk the mount point is %s, want %s", tc.uid, got, tc.onDisk)
		}
	}
}

// TestVolumeOnTmpfs is an emptyDir in memory.
func TestVolumeOnTmpfs(t *testing.T) {
	d := must(Bind(podRoot(t), true, idmap(t, 7, 7), Attr{}))(t)
	closed(t, d)
}
