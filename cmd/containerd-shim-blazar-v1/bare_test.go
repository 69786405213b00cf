package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

func TestBare(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"config.json", "address"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rootfs := filepath.Join(dir, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "work")); err != nil {
		t.Fatal(err)
	}
	if !bare(dir) {
		t.Error("a bundle without mounts is not bare")
	}
	if bare(filepath.Join(dir, "none")) {
		t.Error("what is not there is bare")
	}
	if err := os.Mkdir(filepath.Join(rootfs, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if bare(dir) {
		t.Error("something may be mounted deeper")
	}
	if err := os.Remove(filepath.Join(rootfs, "sub")); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, rootfs) // empty itself
	if bare(dir) {
		t.Error("a mounted directory is bare")
	}
}

func TestBareFile(t *testing.T) {
	testneeds.Root(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/etc/hostname", file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(file, unix.MNT_DETACH) })
	if bare(dir) {
		t.Error("a mounted file is bare")
	}
}
