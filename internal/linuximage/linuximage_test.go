package linuximage

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestLayer(t *testing.T) {
	entries := func() []entry {
		return []entry{
			same("bin/ls", "bin/busybox"), link("sbin", "bin"), dir("bin/", 0o755),
			file("bin/busybox", 0o4755, []byte("program")), same("bin/cat", "bin/busybox"),
		}
	}
	l, err := layer(entries()...)
	if err != nil {
		t.Fatal(err)
	}
	again, err := layer(entries()...)
	if err != nil || !bytes.Equal(l.Content, again.Content) {
		t.Error("the same entries are other bytes", err)
	}
	seen := map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(l.Content)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeLink && seen[h.Linkname] == nil {
			t.Errorf("%s comes before %s", h.Name, h.Linkname)
		}
		seen[h.Name] = h
	}
	if len(seen) != 5 || seen["bin/busybox"].Mode != 0o4755 || seen["sbin"].Typeflag != tar.TypeSymlink || seen["bin/"].Typeflag != tar.TypeDir {
		t.Errorf("%v", seen)
	}
}

// What is fetched once is found again, and a cache without content is no cache.
func TestKept(t *testing.T) {
	tmp := t.TempDir()
	kept := filepath.Join(tmp, "busybox")
	if f, err := readAll(kept); err == nil {
		t.Errorf("nothing is %v", f)
	}
	if err := (files{"bin/busybox": []byte("b"), "lib/x/libc.so.6": []byte("c")}).write(kept, filepath.Join(tmp, "new")); err != nil {
		t.Fatal(err)
	}
	f, err := readAll(kept)
	if err != nil || len(f) != 2 || string(f["lib/x/libc.so.6"]) != "c" {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := os.Stat(filepath.Join(tmp, "new")); !os.IsNotExist(err) {
		t.Error("the folder was not renamed")
	}
}

func TestAddWithoutFile(t *testing.T) {
	if err := (files{}).add(t.TempDir(), "bin/busybox", "usr/bin/busybox"); err == nil {
		t.Error("a package without busybox is as good")
	}
}
