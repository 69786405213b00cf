package host

import (
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/idrange"
	"blazar/internal/mnt"
	"blazar/internal/testneeds"
)

// The file for last words is one that the guest could write itself, whatever the pod's
// author has mounted at its path: no read-only volume, nobody else's file, no FIFO.
func TestMessageFile(t *testing.T) {
	testneeds.Root(t)
	dir := t.TempDir()
	file := func(name string, mode os.FileMode, uid int) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	file("own", 0o644, 0)
	file("everybodys", 0o666, 7)
	file("others", 0o644, 7)
	file("own-read-only", 0o444, 0)
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("own", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	idmap, err := mnt.NewIDMap(idrange.DefaultFirst, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idmap.Close() }() // a descriptor without contents
	for _, c := range []struct {
		path     string
		readOnly bool
		ok       bool
	}{
		{"/own", false, true},
		{"/everybodys", false, true},
		{"/own", true, false},
		{"/everybodys", true, false},
		{"/others", false, false},
		{"/own-read-only", false, false},
		{"/fifo", false, false},
		{"/link", false, false},
		{"/none", false, false},
	} {
		d, err := mnt.Bind(dir, false, idmap, mnt.Attr{ReadOnly: c.readOnly})
		if err != nil {
			t.Fatal(err)
		}
		spec := &specs.Spec{
			Annotations: map[string]string{"io.kubernetes.container.terminationMessagePath": c.path},
			Mounts:      []specs.Mount{{Destination: c.path, Source: filepath.Join(dir, c.path), Type: "bind"}},
		}
		f := openMessage(d.Root(), spec, idrange.DefaultFirst)
		if (f != nil) != c.ok {
			t.Errorf("%s, read-only %v: opened %v", c.path, c.readOnly, f != nil)
		}
		if f != nil {
			_ = f.Close() // nothing was written
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
