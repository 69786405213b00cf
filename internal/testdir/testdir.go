// Package testdir makes directories for tests in which read-only ones will appear.
package testdir

import (
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// New is t.TempDir, but whoever is not root can remove it too when there are
// directories in it that nobody may write, as compiled modules are.
func New(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { Writable(t, dir) })
	return dir
}

// Writable lets its owner write every directory in dir, itself included.
func Writable(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return unix.Chmod(path, 0o700)
	})
	if err != nil {
		t.Error(err)
	}
}
