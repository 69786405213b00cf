// Package testdir makes directories for tests in which read-only ones will appear.
package testdir

import (
	"errors"
	"io/fs"
	"os"
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
	if err := writable(dir); err != nil {
		t.Error(err)
	}
}

// RemoveAll is os.RemoveAll, of such directories too.
func RemoveAll(dir string) error {
	return errors.Join(writable(dir), os.RemoveAll(dir))
}

func writable(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return unix.Chmod(path, 0o700)
	})
}
